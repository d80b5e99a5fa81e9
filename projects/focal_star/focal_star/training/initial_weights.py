"""Where initial weights come from: addresses such as ``detectron2://``, and their copies here."""

import os
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlparse

from detectron2.utils.file_io import Detectron2Handler, PathManager

from focal_star.errors import ConfigError

SECONDS = 10.0
"""How long a server may take to answer."""


def url_of(address: str) -> str:
    """Return the URL that an address leads to; ``detectron2://`` is a server of models."""
    if address.startswith(Detectron2Handler.PREFIX):
        return Detectron2Handler.S3_DETECTRON2_PREFIX + address.removeprefix(
            Detectron2Handler.PREFIX
        )
    return address


def copy_of(address: str) -> Path:
    """Return the file that Detectron2 keeps an address' content in, whether or not it exists.

    It lies in ``$FVCORE_CACHE``, by default ``~/.torch/iopath_cache``.
    """
    folder = os.path.expanduser(os.getenv("FVCORE_CACHE", "~/.torch/iopath_cache"))
    return Path(folder) / urlparse(url_of(address)).path.lstrip("/")


def fault_of_server(address: str) -> str:
    """Say why an address cannot be fetched now; return "" if the server answers that it can.

    Nothing is fetched.
    """
    request = urllib.request.Request(url_of(address), method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=SECONDS):
            return ""
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))


def fetch(address: str) -> Path:
    """Fetch an address unless it is cached, and return the file of its content.

    Raises:
        ConfigError: it cannot be fetched; the message says from where, and where a copy would do.
    """
    try:
        return Path(PathManager.get_local_path(address))
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise ConfigError(
            f"MODEL.WEIGHTS: {url_of(address)} cannot be fetched ({reason}); without network, put "
            f"the file at {copy_of(address)}"
        ) from error
