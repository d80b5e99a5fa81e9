"""Checks the YAML of a config before its values are constructed."""

import io
import os
from collections.abc import Iterator

import yaml
from detectron2.config import CfgNode

from focal_star.io.addresses import is_address, leaves_cache

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

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
        for fault in _faults(text):
            raise ValueError(f"{filename}: {fault}")
        return io.StringIO(text)


def _faults(text: str) -> Iterator[str]:
    # For each list or mapping that is open: the keys so far (None: a list), and whether the next
    # node is a key.
    open_nodes: list[tuple[set[str] | None, bool]] = []
    num_aliases, is_root_a_mapping = 0, False
    for event in yaml.parse(text, LOADER):
        if isinstance(event, yaml.CollectionEndEvent):
            open_nodes.pop()
            continue
        if not isinstance(event, yaml.NodeEvent):
            continue
        where = f"line {event.start_mark.line + 1}"  # type: ignore[union-attr]  # a parser sets it
        is_root_a_mapping = is_root_a_mapping or isinstance(event, yaml.MappingStartEvent)
        if not is_root_a_mapping:
            break
        keys, is_key = open_nodes[-1] if open_nodes else (None, False)
        if keys is not None:
            open_nodes[-1] = keys, not is_key
            if is_key and isinstance(event, yaml.ScalarEvent):
                if event.value in keys:
                    yield f"{where}: the key {event.value[:100]!r} is there twice"
                keys.add(event.value)
        if isinstance(event, yaml.CollectionStartEvent):
            is_mapping = isinstance(event, yaml.MappingStartEvent)
            open_nodes.append((set() if is_mapping else None, is_mapping))
            if len(open_nodes) > MAX_LEVELS:
                yield f"{where}: nested more than {MAX_LEVELS} levels deep"
        num_aliases += isinstance(event, yaml.AliasEvent)
        if num_aliases > MAX_ALIASES:
            yield f"{where}: more than {MAX_ALIASES} aliases"
    if not is_root_a_mapping:
        yield "a config is a mapping of keys to values, and this file is not"
