"""What determines a cell's result, as hashes: the same fingerprint, the same result."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

NUMERICS = 3
"""Raised by every change of the code that moves a number, so that older records count as stale."""

WITHOUT_EFFECT = (
    "CACHE_DIR",
    "DATASETS.CHECK",
    "DATASETS.FOLDER",
    "DATASETS.TEST",
    "DATASETS.TRAIN",
    "EXTENSIONS",
    "MODEL.FOCAL_STAR.FIRST_LOSS_WARNING",
    "MODEL.TRUSTED_WEIGHTS",
    "MODEL.WEIGHTS",
    "OUTPUT_DIR",
    "OUTPUT_WRITERS",
    "PRETRAINING.",
    "SEED",
    "SOLVER.CHECKPOINT_PERIOD",
    "VERSION",
)
"""Keys (or, with a point at the end, parts) of the config that do not count here.

Either they change no result, or the data set's and the weights' own hashes stand for them.
"""

DETECTOR, RETINANET = "MODEL.DETECTOR", "retinanet"
"""The key that says which detector it is; at this value it does not count, as it once was not."""

NEW = {
    "INPUT.BIT_DEPTH": None,
    "MODEL.FOCAL_STAR.CLIP_NORM": None,
    "TEST.IMS_PER_BATCH": 1,
    "TEST.LOSS_DISTRIBUTION_IMAGES": 0,
}
"""Key that was added -> the value at which it changes nothing, and does not count."""

RENAMED = {"CachedGeneralizedRCNN": "GeneralizedRCNN", "CachedRetinaNet": "FocalStarRetinaNet"}
"""Value that was added -> the one that stands for the same in older configs, and counts for it."""

UNCOUNTED = {"loss": "", "processes": 1}
"""Part of an identity that was added -> the value at which it does not count."""

OF_ONE_DETECTOR = {
    "MODEL.FASTER_RCNN.": "faster_rcnn",
    "MODEL.FOCAL_STAR.": RETINANET,
    "MODEL.OHEM.": RETINANET,
}
"""Part of the config -> the detector for which it counts; for others it has no effect."""


@dataclass(frozen=True)
class Identity:
    """What determines a cell's result.

    Attributes:
        config: SHA-256 of the resolved config, see :meth:`ResolvedConfig.sha256`.
        dataset: SHA-256 of the data set's content; its name where the content is not hashed.
        weights: SHA-256 of the initial weights; their name where they are not made here.
        seed: the cell's.
        numerics: ``NUMERICS``.
        loss: SHA-256 of the code of the loss, see :mod:`focal_star.identity.loss_code`; "" for a
            detector that has no loss to choose, where it does not count.
        processes: that the cell trains with, GPUs times tasks: each has its own share of a batch
            and its own random numbers. One is no part of it.

    The kind of device and the versions of libraries are no parts: they are in the record's
    environment, and the report names them where cells of one table differ.
    """

    config: str
    dataset: str
    weights: str
    seed: int
    numerics: int = NUMERICS
    loss: str = ""
    processes: int = 1

    def as_dict(self) -> dict[str, Any]:
        """The parts by name, those that count."""
        return {
            name: value
            for name, value in asdict(self).items()
            if not (name in UNCOUNTED and value == UNCOUNTED[name])
        }

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all parts."""
        return _sha256(json.dumps(self.as_dict(), sort_keys=True))

    def changed(self, recorded: Mapping[str, Any]) -> list[str]:
        """The names of the parts in which a record's identity differs."""
        parts = self.as_dict()
        names = [*parts, *(n for n in UNCOUNTED if n in recorded and n not in parts)]
        return [name for name in names if recorded.get(name) != parts.get(name)]


class ResolvedConfig:
    """A study's config with every key, hashed for many settings quickly.

    Key order, the form of a number (1, 1.0) and that of a sequence (list, tuple) do not count.
    """

    def __init__(self, config: Mapping[str, Any]):
        """
        Args:
            config: nested mappings of every key of the config, as ``prepared.json`` has it.
        """
        self._values = dict(flat(config))
        self._texts = {
            key: f"{key}={_canonical(value)}"
            for key, value in sorted(self._values.items())
            if not _without_effect(key) and not (key in NEW and value == NEW[key])
        }
        self._texts_of: dict[str, dict[str, str]] = {}  # by detector

    def __getitem__(self, key: str) -> Any:
        """The value of a dotted key."""
        return self._values[key]

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def sha256(self, changes: Mapping[str, Any]) -> str:
        """SHA-256 of the config with some keys changed.

        Args:
            changes: dotted key -> value.

        Raises:
            KeyError: keys that the config does not have.
        """
        unknown = [key for key in changes if key not in self._values]
        if unknown:
            raise KeyError(", ".join(unknown))
        texts = self._of(changes.get(DETECTOR, self._values.get(DETECTOR, RETINANET)))
        for key, value in changes.items():
            if key in texts:
                texts[key] = f"{key}={_canonical(value)}"
        return _sha256("\n".join(texts.values()))

    def _of(self, detector: str) -> dict[str, str]:
        """Key -> text, of those that count for a detector: a new mapping."""
        if detector not in self._texts_of:
            self._texts_of[detector] = {
                key: text for key, text in self._texts.items() if _counts_for(detector, key)
            }
        return dict(self._texts_of[detector])


def _counts_for(detector: str, key: str) -> bool:
    if key == DETECTOR:
        return detector != RETINANET
    return all(of == detector or not key.startswith(part) for part, of in OF_ONE_DETECTOR.items())


def flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value, of every key of nested mappings."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _without_effect(key: str) -> bool:
    return any(
        key.startswith(part) if part.endswith(".") else key == part for part in WITHOUT_EFFECT
    )


def _canonical(value: Any) -> str:
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    """Numbers as floats, sequences as lists, renamed values under their old names."""
    if isinstance(value, str):
        return RENAMED.get(value, value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return float(value) if type(value) is int else value


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
