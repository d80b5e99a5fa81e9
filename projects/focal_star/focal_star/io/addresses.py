"""Addresses (``https://``, ``detectron2://``) in a config, and how they are restricted."""

import re


def is_address(text: str) -> bool:
    """Whether a text is an address, not a file's path."""
    return "://" in text


def leaves_cache(address: str) -> bool:
    """Whether Detectron2 would write a download from this address outside its cache.

    It derives the path in the cache from the address and follows ``..``, so that a server could
    overwrite any file of the user.
    """
    return ".." in re.split(r"[/\\]", address)
