"""Checks the YAML of a config before its values are constructed."""

import io
import os

from detectron2.config import CfgNode

from focal_star.io import yaml_text
from focal_star.io.addresses import is_address, leaves_cache

MAX_CHARACTERS = 2**20
MAX_LEVELS = 50
MAX_ALIASES = 100
"""Limits per file. A few aliases of aliases expand to billions of values."""


class CheckedYaml(CfgNode):
    """Detectron2's config, whose files are checked when they are opened.

    ``CheckedYaml.load_yaml_with_base(path)`` reads a file and its bases. It raises a ValueError for
    what Detectron2 would accept silently, or read without end.
    """

    @classmethod
    def _open_cfg(cls, filename: str) -> io.StringIO:
        if is_address(filename) and leaves_cache(filename):
            raise ValueError(f"{filename} has .. in its path, and would be kept outside the cache")
        if os.path.exists(filename) and not os.path.isfile(filename):  # a pipe would never end
            raise ValueError(f"{filename} is not a regular file")
        with super()._open_cfg(filename) as file:
            text = file.read(MAX_CHARACTERS + 1)
        if len(text) > MAX_CHARACTERS:
            raise ValueError(f"{filename} has more than {MAX_CHARACTERS} characters")
        if not yaml_text.is_mapping(text):
            raise ValueError(
                f"{filename}: a config is a mapping of keys to values, and this file is not"
            )
        for fault in yaml_text.faults(text, MAX_LEVELS, MAX_ALIASES, with_tags=True):
            raise ValueError(f"{filename}: {fault}")
        return io.StringIO(text)
