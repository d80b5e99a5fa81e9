"""Reads a config: Detectron2's keys and this project's, merged, checked and derived."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from detectron2.config import CfgNode, get_cfg

from focal_star.config.checks import ConfigError, check_config, check_device, check_no_conflict
from focal_star.config.derived import check_derived
from focal_star.config.keys import add_focal_star_config, derive
from focal_star.config.yaml_files import LookedAt

__all__ = [
    "CONFIGS",
    "ConfigError",
    "add_focal_star_config",
    "check_config",
    "check_derived",
    "check_device",
    "derive",
    "load_config",
    "merge_overrides",
    "resolve_config",
]

_PACKAGE = Path(__file__).resolve().parents[1]
_IS_CHECKOUT = (_PACKAGE.parent / "train_net.py").is_file()

CONFIGS = (_PACKAGE.parent if _IS_CHECKOUT else _PACKAGE) / "configs"
"""The folder of the configs: the checkout's, or the installed package's."""

MAX_SHOWN = 1000
"""Characters of a library's message about a config."""


def load_config(config_file: str | Path, overrides: list[str] = ()) -> CfgNode:
    """Return the config to train with, mutable: :func:`resolve_config`, then :func:`derive`.

    Raises:
        ConfigError: as :func:`resolve_config` does.
    """
    cfg = resolve_config(config_file, overrides)
    derive(cfg)
    return cfg


def resolve_config(config_file: str | Path, overrides: list[str] = ()) -> CfgNode:
    """Merge and check a config file and ``KEY VALUE`` pairs; the result is mutable.

    The keys that :func:`derive` sets are still as they were written.

    A file is data from a stranger: YAML is loaded safely, so that a Python tag is refused, and no
    file can grant trust. Only ``overrides``, which a person types, can.

    Raises:
        ConfigError: a file that cannot be read, a key that does not exist, or values that cannot
            be, all of them named.
    """
    cfg = get_cfg()
    add_focal_star_config(cfg)
    if config_file:
        with _refusing(str(config_file)):
            LookedAt.load_yaml_with_base(str(config_file))
            cfg.merge_from_file(str(config_file), allow_unsafe=False)
            _refuse_trust(cfg)
    merge_overrides(cfg, overrides)
    return cfg


def merge_overrides(cfg: CfgNode, overrides: list[str]) -> None:
    """Merge ``KEY VALUE`` pairs into a config, and check the whole.

    Raises:
        ConfigError: as :func:`resolve_config` does.
    """
    with _refusing("KEY VALUE pairs"):
        cfg.merge_from_list(list(overrides))
    check_config(cfg)
    check_no_conflict(cfg, overrides)


def _refuse_trust(cfg: CfgNode) -> None:
    """Refuse trust that a file gives to the weights that it names itself."""
    if cfg.MODEL.TRUSTED_WEIGHTS:
        raise ValueError(
            "MODEL.TRUSTED_WEIGHTS is True in a file; valid there: False. Trust is granted on the "
            "command line alone: remove the key, and if you trust who made the weights, add: "
            "MODEL.TRUSTED_WEIGHTS True"
        )


@contextmanager
def _refusing(where: str) -> Iterator[None]:
    """Turn what Detectron2, yacs and YAML raise on a config that is none into a ConfigError."""
    try:
        yield
    except (AttributeError, TypeError) as error:  # theirs speak of their own code
        raise ConfigError(
            f"{where}: a config has names as keys, mappings where Detectron2 has them, and "
            f"numbers, texts, lists and None as values ({_short(error)})"
        ) from error
    except (MemoryError, RecursionError) as error:
        raise ConfigError(f"{where}: nested too deeply, or its own _BASE_") from error
    except (AssertionError, KeyError, OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{where}: {_short(error)}") from error


def _short(error: Exception) -> str:
    text = str(error)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]} ..."
