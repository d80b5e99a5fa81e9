"""Extensions: what a config adds to the core by ``EXTENSIONS: [mini]``.

An extension is a package ``focal_star.<name>`` whose module ``extension`` has an
:class:`Extension` named ``EXTENSION``. A config loads it by its name. Only the names in
:data:`NAMES` are valid, so a config cannot import any other module. The core imports no extension
by itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode

from focal_star.errors import ConfigError

NAMES = ("mini", "frozen", "fitted")
"""Values of ``EXTENSIONS``."""

Rule = tuple[Callable[[Any], bool], str]
"""Whether the value of a config key is valid, and which values are, in words."""


@dataclass(frozen=True)
class Proposed:
    """Config values that follow from a data set.

    Attributes:
        overrides: ``KEY VALUE`` pairs.
        text: what they are and why, in one line.
        warning: what cannot be learnt with them, in one line; "" if there is no doubt.
    """

    overrides: tuple[str, ...]
    text: str
    warning: str = ""


class Extension:
    """What an extension can provide. Each method here is the default, which provides nothing."""

    weights_source = "made by the pretraining"
    """Where the initial weights come from, in words."""
    weights_need_folder = True
    """Whether the initial weights depend on the data set, which must then be a folder."""
    detectron2_names: Mapping[str, str] = {}
    """Name of a model or backbone here -> Detectron2's own one that computes the same in a test."""

    def add_keys(self, cfg: CfgNode) -> None:
        """Add config keys, with their defaults."""

    def rules(self) -> Mapping[str, Rule]:
        """Config key -> its :data:`Rule`."""
        return {}

    def trainer_class(self, trainer: type[Any]) -> type[Any]:
        """The subclass of ``focal_star.training.trainer.Trainer`` to train with."""
        return trainer

    def dataset_folder(self, cfg: CfgNode, create: bool) -> Path | None:
        """The folder, in COCO's format, of a data set that ``DATASETS.TRAIN`` names.

        Args:
            cfg: the config.
            create: whether to write the data set if it is not there yet.

        Returns:
            None if the data set is not one of this extension.
        """

    def propose(self, cfg: CfgNode, content: dict[str, Any]) -> "Proposed | None":
        """What fits a data set better than the values of the config; None for no proposal.

        Args:
            cfg: the config.
            content: the training annotations, in COCO's format.
        """
        return None

    def store(self, cfg: CfgNode) -> None:
        """Compute what all training runs of a prepared config share, if it is not there yet."""

    def makes_weights(self, cfg: CfgNode) -> bool:
        """Whether a config asks for initial weights from :meth:`initial_weights`."""
        return False

    def initial_weights(self, cfg: CfgNode, dataset_sha256: str) -> Path:
        """The file of the initial weights, which is written if it is not there yet."""
        raise NotImplementedError

    def weights_fault(self) -> str:
        """Why the initial weights cannot be had; "" if they can."""
        return ""

    def missing_weights(self, cfg: CfgNode, dataset_sha256: str) -> Path | None:
        """The file that :meth:`initial_weights` would write; None if it is there."""
        raise NotImplementedError


def load(names: Any) -> list[Extension]:
    """Import the extensions of a config.

    Args:
        names: the value of ``EXTENSIONS``, of any type.

    Raises:
        ConfigError: a name that is not in :data:`NAMES`, an extension that is not installed, or
            several with a trainer of their own.
    """
    if not isinstance(names, list | tuple) or not all(name in NAMES for name in names):
        raise ConfigError(
            f"EXTENSIONS is {str(names)[:200]!r}; valid: a list of {', '.join(NAMES)}, or []"
        )
    loaded = {name: _load(name) for name in names}
    inherited = Extension.trainer_class
    trainers = [name for name, one in loaded.items() if type(one).trainer_class is not inherited]
    if len(trainers) > 1:
        raise ConfigError(f"EXTENSIONS has {' and '.join(trainers)}; valid: only one of these")
    return [loaded[name] for name in names]


def _load(name: str) -> Extension:
    package = f"focal_star.{name}"
    try:
        return import_module(f"{package}.extension").EXTENSION
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ConfigError(
            f"EXTENSIONS {name} needs {package}, which this installation does not have; use "
            "another config, or install the whole of focal_star"
        ) from error


def dataset_folder(cfg: CfgNode, create: bool = True) -> Path | None:
    """:meth:`Extension.dataset_folder` of the first extension that has the data set."""
    folders = (extension.dataset_folder(cfg, create) for extension in load(cfg.EXTENSIONS))
    return next((folder for folder in folders if folder is not None), None)


def trainer_class(cfg: CfgNode, trainer: type[Any]) -> type[Any]:
    """The trainer of a config: the given one, or the subclass of it from an extension."""
    for extension in load(cfg.EXTENSIONS):
        trainer = extension.trainer_class(trainer)
    return trainer


def store(cfg: CfgNode) -> None:
    """Call :meth:`Extension.store` of every extension of a config."""
    for extension in load(cfg.EXTENSIONS):
        extension.store(cfg)


def weights_maker(cfg: CfgNode) -> Extension | None:
    """The extension that makes the initial weights of a config; None if none does."""
    return next((one for one in load(cfg.EXTENSIONS) if one.makes_weights(cfg)), None)
