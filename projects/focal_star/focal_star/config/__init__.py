"""Reads a config: Detectron2's keys and this project's, merged, checked and derived."""

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import yaml
from detectron2.config import CfgNode, get_cfg

from focal_star.config.checks import check_config, check_device, check_no_conflict, leaves
from focal_star.config.derived import check_derived
from focal_star.config.keys import add_extension_keys, add_focal_star_config, derive
from focal_star.config.yaml_files import CheckedYaml
from focal_star.errors import ConfigError
from focal_star.extensions import NAMES
from focal_star.modeling import retinanet

__all__ = [
    "CONFIGS",
    "add_focal_star_config",
    "check_config",
    "check_derived",
    "check_device",
    "derive",
    "load_config",
    "load_variants",
    "merge_overrides",
    "resolve_config",
]

retinanet.CONFIG_CHECKS.append(check_derived)

_PACKAGE = Path(__file__).resolve().parents[1]
_IS_CHECKOUT = (_PACKAGE.parent / "train_net.py").is_file()

CONFIGS = (_PACKAGE.parent if _IS_CHECKOUT else _PACKAGE) / "configs"
"""The folder of the configs: the checkout's, or the installed package's."""

MAX_SHOWN = 1000
"""Characters of a library's message that an error repeats."""


def load_config(config_file: str | Path, overrides: Sequence[str] = ()) -> CfgNode:
    """Return the config to train with, mutable: :func:`resolve_config`, then :func:`derive`.

    Raises:
        ConfigError: as :func:`resolve_config` does.
    """
    cfg = resolve_config(config_file, overrides)
    derive(cfg)
    return cfg


def resolve_config(config_file: str | Path, overrides: Sequence[str] = ()) -> CfgNode:
    """Merge and check a config file and ``KEY VALUE`` pairs; the result is mutable.

    The keys that :func:`derive` sets keep the values of the file.

    A file may come from a stranger: YAML is loaded safely, so Python tags are refused, and a file
    cannot set ``MODEL.TRUSTED_WEIGHTS``. Only ``overrides``, which the user types, can.

    Raises:
        ConfigError: a file that cannot be read, a key that does not exist, or invalid values; it
            lists all of them.
    """
    cfg = get_cfg()
    add_focal_star_config(cfg)
    if config_file:
        with _refusing(str(config_file)):
            content = CheckedYaml.load_yaml_with_base(str(config_file))
            add_extension_keys(cfg, content.get("EXTENSIONS", []))
            cfg.merge_from_file(str(config_file), allow_unsafe=False)
            _refuse_trust(cfg)
    merge_overrides(cfg, overrides)
    return cfg


def merge_overrides(cfg: CfgNode, overrides: Sequence[str]) -> None:
    """Merge ``KEY VALUE`` pairs into a config, and check the whole.

    Raises:
        ConfigError: as :func:`resolve_config` does.
    """
    with _refusing("KEY VALUE pairs"):
        given = CfgNode({"EXTENSIONS": list(cfg.EXTENSIONS)})
        for key, value in zip(overrides[::2], overrides[1::2], strict=False):
            if key == "EXTENSIONS":
                given.merge_from_list([key, value])
        loaded = list(cfg.EXTENSIONS)
        add_extension_keys(cfg, given.EXTENSIONS)
        if removed := [name for name in loaded if name not in given.EXTENSIONS]:
            raise ValueError(
                f"EXTENSIONS is {given.EXTENSIONS}, and the config already has the keys of "
                f"{', '.join(removed)}; remove the pair, or use a config without the extension"
            )
        cfg.merge_from_list(list(overrides))
    check_config(cfg)
    check_no_conflict(cfg, overrides)


def _refuse_trust(cfg: CfgNode) -> None:
    """Refuse a file that declares its own weights trusted."""
    if cfg.MODEL.TRUSTED_WEIGHTS:
        raise ValueError(
            "MODEL.TRUSTED_WEIGHTS is True in a file; valid there: False. Trust is granted only on "
            "the command line: remove the key, and if you trust the author of the weights, add: "
            "MODEL.TRUSTED_WEIGHTS True"
        )


def load_variants(
    config_file: str, variants: Iterable[str], overrides: Sequence[str]
) -> dict[str, CfgNode]:
    """Read a config in several variants.

    Args:
        config_file: the file.
        variants: ``KEY VALUE`` pairs each, possibly none, quoted as a shell does.
        overrides: ``KEY VALUE`` pairs of all variants.

    Returns:
        Variant -> its config.

    Raises:
        ConfigError: lists every variant that cannot be used, with the reason.
    """
    cfgs, problems = {}, []
    for variant in variants:
        try:
            cfgs[variant] = load_config(config_file, [*overrides, *shlex.split(variant)])
        except ValueError as error:  # ConfigError is one, as is shlex's for an open quote
            problems.append(f"--variant {variant!r}: {error}")
    if problems:
        raise ConfigError("\n  ".join(problems))
    return cfgs


@contextmanager
def _refusing(where: str) -> Iterator[None]:
    """Turn the exceptions of Detectron2, yacs and YAML into a ConfigError."""
    try:
        yield
    except ConfigError:
        raise
    except (AttributeError, TypeError) as error:  # these messages are about the libraries' code
        raise ConfigError(
            f"{where}: a config has names as keys, mappings where Detectron2 has them, and "
            f"numbers, texts, lists and None as values ({_short(error)})"
        ) from error
    except (MemoryError, RecursionError) as error:
        raise ConfigError(f"{where}: nested too deeply, or its own _BASE_") from error
    except (AssertionError, KeyError, OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{where}: {_short(error)}{_extension_of(error)}") from error


def _extension_of(error: Exception) -> str:
    """For the message of a key that does not exist: the extension that has it, if any."""
    if not (match := re.search(r"Non-existent (?:config )?key: ([\w.]+)", str(error))):
        return ""
    for name in NAMES:
        cfg = get_cfg()
        with suppress(ConfigError):  # it is not installed
            add_focal_star_config(cfg, [name])
        if any(f"{key}.".startswith(f"{match[1]}.") for key, _ in leaves(cfg)):
            return f"; it belongs to the extension {name}; add EXTENSIONS: [{name}]"
    return ""


def _short(error: Exception) -> str:
    text = str(error)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]} ..."
