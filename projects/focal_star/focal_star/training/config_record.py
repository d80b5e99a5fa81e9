"""Builds the config for the record of a training run: only what is needed to compare two runs."""

from typing import Any

from detectron2.config import CfgNode, get_cfg

from focal_star.config.checks import leaves, sources_of_derived
from focal_star.config.derived import plain_value
from focal_star.config.keys import add_focal_star_config


def config_record(cfg: CfgNode) -> dict[str, Any]:
    """The keys of a training's config that do not have their defaults.

    Args:
        cfg: the config that the training runs with.

    Returns:
        ``values``: dotted key -> value, for the keys that have another value than the default of
        Detectron2, of this project or of an extension. ``follows``: key -> the keys that it is
        derived from, for the keys that :func:`focal_star.config.derive` sets.
    """
    defaults = get_cfg()
    add_focal_star_config(defaults, cfg.EXTENSIONS)
    known = {key: plain_value(value) for key, value in leaves(defaults)}
    values = {key: plain_value(value) for key, value in leaves(cfg)}
    return {
        "values": {k: v for k, v in values.items() if k not in known or known[k] != v},
        "follows": sources_of_derived(cfg),
    }
