"""Hashes of what determines a cell's result: an equal fingerprint means an equal result."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from focal_star.identity.keys_without_effect import KEYS_WITHOUT_EFFECT

NUMERICS = 4
"""The version of the numerics. Raise it with each change that changes a result: older records
become stale."""

WITHOUT_EFFECT = (
    *KEYS_WITHOUT_EFFECT,
    "DATASETS.FOLDER",
    "DATASETS.SUBSET",
    "DATASETS.TEST",
    "DATASETS.TRAIN",
    "EXTENSIONS",
    "MODEL.WEIGHTS",
    "OUTPUT_WRITERS",
    "PRETRAINING.",
    "SEED",
    "SOLVER.CHECKPOINT_PERIOD",
)
"""Keys of the config, or sections (with a dot at the end), that are not hashed.

They change no result, or the hashes of the data set and the weights cover them.
"""


@dataclass(frozen=True)
class Identity:
    """What determines a cell's result.

    Attributes:
        config: SHA-256 of the resolved config, see :meth:`ResolvedConfig.sha256`.
        dataset: SHA-256 of the data set's content; its name if the content is not hashed.
        weights: SHA-256 of the initial weights; their name if this project does not make them.
        seed: the cell's seed.
        numerics: ``NUMERICS``.
        loss: SHA-256 of the code of the loss, see :mod:`focal_star.identity.loss_code`; "" for a
            detector that has no loss to choose.
        processes: the number of training processes, one per GPU: each has its share of a batch and
            its own random numbers.

    The config includes MODEL.DEVICE. The model of the GPU and the versions of libraries are not
    included: they are in the record's environment, and the report names them where the cells of one
    table differ.
    """

    config: str
    dataset: str
    weights: str
    seed: int
    numerics: int = NUMERICS
    loss: str = ""
    processes: int = 1

    def as_dict(self) -> dict[str, Any]:
        """The parts by name."""
        return asdict(self)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all parts."""
        return _sha256(json.dumps(self.as_dict(), sort_keys=True))

    def changed(self, recorded: Mapping[str, Any]) -> list[str]:
        """The names of the parts in which a record's identity differs."""
        return [name for name, value in self.as_dict().items() if recorded.get(name) != value]


class ResolvedConfig:
    """A study's config with every key, which is quick to hash for many settings.

    The hash does not depend on key order, nor on the form of a number (1, 1.0) or of a sequence
    (list, tuple).
    """

    def __init__(self, config: Mapping[str, Any]):
        """
        Args:
            config: nested mappings of every key of the config, as ``prepared.json`` has it.
        """
        self._values = dict(flat(config))
        self._texts = {
            key: f"{key}={canonical(value)}"
            for key, value in sorted(self._values.items())
            if not is_without_effect(key)
        }

    def __getitem__(self, key: str) -> Any:
        """The value of a dotted key."""
        return self._values[key]

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def differences(self, values: Mapping[str, Any]) -> list[str]:
        """One line for each dotted key with another value than this config's.

        Args:
            values: dotted key -> value.
        """
        return [
            f"{key} is {self._values.get(key)!r}, not {value!r}"
            for key, value in values.items()
            if canonical(self._values.get(key)) != canonical(value)
        ]

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
        texts = self._texts | {
            key: f"{key}={canonical(value)}" for key, value in changes.items() if key in self._texts
        }
        return _sha256("\n".join(texts.values()))


def flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of every key of nested mappings."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def is_without_effect(key: str) -> bool:
    """Whether a config key is one of ``WITHOUT_EFFECT``."""
    return any(
        key.startswith(part) if part.endswith(".") else key == part for part in WITHOUT_EFFECT
    )


def canonical(value: Any) -> str:
    """The value of a config key as JSON, the same for 1 and 1.0, and for a list and a tuple."""
    return _SORTED.encode(_plain(value))


_SORTED = json.JSONEncoder(sort_keys=True)


def _plain(value: Any) -> Any:
    """Numbers as floats, sequences as lists."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return float(value) if type(value) is int else value


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
