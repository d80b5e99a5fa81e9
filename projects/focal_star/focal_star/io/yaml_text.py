"""Checks YAML by its events, before any value is created."""

from collections.abc import Iterator

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The fast loader if PyYAML was built with it; both are safe."""

MAX_SHOWN = 100


def faults(text: str, max_levels: int, max_aliases: int, with_tags: bool) -> Iterator[str]:
    """One line for each use of YAML that is refused.

    Args:
        text: the text of the file.
        max_levels: the max depth of nested lists and mappings. The fast loader crashes at about ten
            thousand.
        max_aliases: a few aliases of aliases expand to billions of values.
        with_tags: whether tags are left to the loader; else each is a fault.

    Raises:
        yaml.YAMLError: it is not YAML.
    """
    # For each open list or mapping: the keys so far (None for a list), and whether the next node is
    # a key.
    open_nodes: list[tuple[set[str] | None, bool]] = []
    num_aliases = 0
    for event in yaml.parse(text, LOADER):
        if isinstance(event, yaml.CollectionEndEvent):
            open_nodes.pop()
            continue
        if not isinstance(event, yaml.NodeEvent):
            continue
        where = f"line {event.start_mark.line + 1}"  # type: ignore[union-attr]  # a parser sets it
        tag = getattr(event, "tag", None)
        if tag is not None and not with_tags:
            tag = tag.replace("tag:yaml.org,2002:", "!!")
            yield f"{where}: the tag {tag[:MAX_SHOWN]!r}; only plain values are read"
        keys, is_key = open_nodes[-1] if open_nodes else (None, False)
        if keys is not None:
            open_nodes[-1] = keys, not is_key
            if is_key and isinstance(event, yaml.ScalarEvent):
                if event.value in keys:
                    yield f"{where}: duplicate key {event.value[:MAX_SHOWN]!r}"
                keys.add(event.value)
        if isinstance(event, yaml.CollectionStartEvent):
            is_mapping = isinstance(event, yaml.MappingStartEvent)
            open_nodes.append((set() if is_mapping else None, is_mapping))
            if len(open_nodes) > max_levels:
                yield f"{where}: nested more than {max_levels} levels deep"
        num_aliases += isinstance(event, yaml.AliasEvent)
        if num_aliases > max_aliases:
            yield f"{where}: more than {max_aliases} aliases"


def is_mapping(text: str) -> bool:
    """Whether the first value of a text is a mapping."""
    nodes = (event for event in yaml.parse(text, LOADER) if isinstance(event, yaml.NodeEvent))
    return isinstance(next(nodes, None), yaml.MappingStartEvent)
