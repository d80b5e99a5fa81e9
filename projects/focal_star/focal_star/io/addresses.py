"""Addresses (``https://``, ``detectron2://``) that a config can name, and what they may not do."""

import re


def is_address(text: str) -> bool:
    """Whether a text is an address, not a file's path."""
    return "://" in text


def leaves_cache(address: str) -> bool:
    """Whether Detectron2 would write what an address leads to outside its cache of downloads.

    It makes the place in the cache from the address, and follows ``..`` in it, so that a server
    could write any file of the user's.
    """
    return ".." in re.split(r"[/\\]", address)
