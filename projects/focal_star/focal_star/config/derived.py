"""Refuses a config whose short keys are not resolved: it describes a different experiment."""

from typing import Any

from detectron2.config import CfgNode

from focal_star.config.checks import leaves
from focal_star.config.keys import derive
from focal_star.errors import ConfigError


def check_derived(cfg: CfgNode) -> None:
    """Refuse a config that :func:`derive` would still change.

    ``cfg.merge_from_file`` alone leaves the keys of Detectron2 at their own values where a file
    says ``INPUT.SHORT_EDGE``, ``NUM_SCALES`` or ``{depth}``.

    Raises:
        ConfigError: names each such key with its value and the one that follows, and says what to
            call.
    """
    derived = cfg.clone()
    derived.defrost()
    derive(derived)
    values = dict(leaves(cfg))
    problems = [
        f"{key} is {values[key]!r}, and {value!r} follows from the config"
        for key, value in leaves(derived)
        if plain_value(values[key]) != plain_value(value)
    ]
    if problems:
        raise ConfigError(
            "the config's short keys are not resolved, so it would describe a different "
            "experiment; load it with focal_star.config.load_config(file, overrides), or call "
            "focal_star.config.derive(cfg) after the last change to cfg; to keep a value, set the "
            "short key that the other follows from, such as INPUT.SHORT_EDGE, to None: "
            + "; ".join(problems)
        )


def plain_value(value: Any) -> Any:
    """The value with lists for tuples, between which YAML does not distinguish."""
    return [plain_value(item) for item in value] if isinstance(value, list | tuple) else value
