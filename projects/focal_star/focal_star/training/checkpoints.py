"""Writes the checkpoints of a training whole, and checks them before they are used.

While a training runs, the two newest of ``model_0000099.pth``, ``model_0000199.pth`` ... are kept,
numbered by the last iteration that they include. When it is done, only ``model_final.pth`` stays,
the model's weights. ``last_checkpoint`` names the newest checkpoint, as in Detectron2.
"""

import io
import logging
import pickle
import re
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.checkpoint import DetectionCheckpointer
from torch import Tensor

from focal_star.compat import has_torch_load
from focal_star.errors import ConfigError
from focal_star.io.quoting import first_line
from focal_star.io.temporary import remove_abandoned
from focal_star.io.writing import write_whole
from focal_star.training.unpickling import read_arrays

logger = logging.getLogger(__name__)

LAST_CHECKPOINT = "last_checkpoint"
KEPT = 2
"""How many checkpoints are kept: the newest, and one before it if the newest gets lost."""
CONTENT = {"model", "trainer", "seed", "ranks", "metrics"}
"""Keys of a checkpoint that a training can be resumed from."""
MAX_NAMED = 10
"""Number of parameters that a message names."""

TO_TRUST = "if you trust who made it, add: MODEL.TRUSTED_WEIGHTS True (demo: --trust-checkpoints)"

_NUMBERED = re.compile(r"model_\d{7,}\.pth")


class Checkpointer(DetectionCheckpointer):
    """Detectron2's checkpointer, with files that are written whole and read without running code.

    Detectron2 writes in place, and its model zoo's files (``.pkl``) are programs that it runs. It
    also trains from a file of which no parameter fits, and this one does not.
    """

    def __init__(self, *args: Any, trusted: bool = False, **kwargs: Any):
        """
        Args:
            args: passed on to Detectron2.
            trusted: whether to run code that the files contain.
            kwargs: passed on to Detectron2.
        """
        super().__init__(*args, **kwargs)
        self._trusted = trusted
        self._file = ""

    def save(self, name: str, **content: Any) -> None:
        """Write the model's weights, and ``content``, to ``<name>.pth``."""
        if self.save_to_disk:
            path = Path(self.save_dir) / f"{name}.pth"
            write(path, {"model": self.model.state_dict()} | content)

    def _load_file(self, filename: str) -> dict[str, Any]:
        self._file = filename
        content = self._content_of(filename)
        wrong = [k for k, v in content["model"].items() if not isinstance(v, Tensor | np.ndarray)]
        if wrong:
            kind = type(content["model"][wrong[0]]).__name__
            raise ConfigError(f"{filename}: {wrong[0]!r:.200} is a {kind}, not a tensor")
        return content

    def _content_of(self, filename: str) -> dict[str, Any]:
        if filename.endswith(".pkl"):
            return _of_model_zoo(read(Path(filename), self._trusted))
        if filename.endswith(".pyth"):
            return _of_pycls(filename, read(Path(filename), self._trusted))
        if has_torch_load():
            return super()._load_file(filename)
        content = self._torch_load(filename)
        return content if "model" in content else {"model": content}

    def _torch_load(self, filename: str) -> dict[str, Any]:
        return read(Path(filename), self._trusted)

    def _log_incompatible_keys(self, incompatible: Any) -> None:
        others = {*incompatible.missing_keys, *(name for name, *_ in incompatible.incorrect_shapes)}
        parameters = dict(self.model.named_parameters()).keys()
        if parameters and parameters <= others:
            raise ConfigError(
                f"{self._file} has none of the model's {len(parameters)} parameters; valid: "
                "weights of this model or of its backbone, in their shapes. It has: "
                f"{', '.join(incompatible.unexpected_keys[:3]) or 'no other'}"
            )
        if incompatible.incorrect_shapes:
            logger.warning(
                "%s has other shapes for some parameters, for example because of a different "
                "number of classes; these keep their random initialisation: %s",
                self._file,
                "; ".join(_of_other_shapes(incompatible)),
            )
        super()._log_incompatible_keys(incompatible)


class CompleteCheckpointer(Checkpointer):
    """A checkpointer that refuses weights which do not fill the model."""

    def _log_incompatible_keys(self, incompatible: Any) -> None:
        wrong = _of_other_shapes(incompatible) + [
            f"{name} is missing" for name in sorted(incompatible.missing_keys) if not _follows(name)
        ]
        if wrong:
            more = f"; and {len(wrong) - MAX_NAMED} more" if len(wrong) > MAX_NAMED else ""
            raise ConfigError(
                f"{self._file} does not match the model of the config, so its detections would "
                f"be random: {'; '.join(wrong[:MAX_NAMED])}{more}. Valid: weights of this config, "
                "such as the model_final.pth beside a config.yaml"
            )
        super()._log_incompatible_keys(incompatible)


def _of_other_shapes(incompatible: Any) -> list[str]:
    return [
        f"{name} is {tuple(given)} in the file, and {tuple(wanted)} by the config"
        for name, given, wanted in incompatible.incorrect_shapes
    ]


def _follows(name: str) -> bool:
    """Whether a buffer follows from the config, or has no part in a detection."""
    return any(part in name for part in ("cell_anchors", "pixel_mean", "num_batches_tracked")) or (
        name.endswith("pixel_std")
    )


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint.

    Raises:
        OSError: it cannot be written; the file that was at ``path`` stays.
    """
    buffer = io.BytesIO()  # torch.save into a file hides why a write failed
    torch.save(content, buffer)
    write_whole(path, buffer.getbuffer())
    logger.info("Saved %s", path)


def read(path: Path, trusted: bool = False) -> dict[str, Any]:
    """The content of a checkpoint, its tensors on the CPU.

    Args:
        path: a file of torch, or (``.pkl``) of Detectron2's model zoo.
        trusted: whether to run code that the file contains.

    Raises:
        ConfigError: it is broken, or holds something else than tensors and plain values.
    """
    try:
        content = _read_pickle(path, trusted) if path.suffix == ".pkl" else _read(path, trusted)
    except pickle.UnpicklingError as error:
        raise ConfigError(
            f"{path} is not loaded: it is broken, or holds more than tensors and plain values, "
            f"which could run any code; {TO_TRUST}. ({first_line(error)})"
        ) from error
    except OSError:
        raise
    except Exception as error:  # what a broken file raises has no common base
        raise ConfigError(f"{path} is broken: {first_line(error)}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds a {type(content).__name__}, not a dict")
    if not isinstance(model := content.get("model", {}), dict):
        raise ConfigError(
            f"{path} has a {type(model).__name__} as its model, not a dict of tensors"
        )
    return content


def _read(path: Path, trusted: bool) -> Any:
    if not trusted and tarfile.is_tarfile(path):  # a zip may follow: torch goes by the first bytes
        # torch before 2.6 runs the code of these even so (CVE-2025-32434).
        raise pickle.UnpicklingError("it has the form of torch 0.1")
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:  # torch compares no checksums
            if archive.testzip() is not None:
                raise zipfile.BadZipFile("its content does not match its checksums")
    return torch.load(path, map_location="cpu", weights_only=not trusted)


def _read_pickle(path: Path, trusted: bool) -> Any:
    if not trusted:
        return read_arrays(path)
    with path.open("rb") as file:
        return pickle.load(file, encoding="latin1")


def _of_model_zoo(content: dict[str, Any]) -> dict[str, Any]:
    """A file of Detectron2's model zoo, or of Caffe2's, in the form that Detectron2 loads."""
    if "model" in content and "__author__" in content:
        return content
    blobs = content.get("blobs", content)
    weights = {name: value for name, value in blobs.items() if not name.endswith("_momentum")}
    return {"model": weights, "__author__": "Caffe2", "matching_heuristics": True}


def _of_pycls(filename: str, content: dict[str, Any]) -> dict[str, Any]:
    if "model_state" not in content:
        raise ConfigError(f"{filename} has no model_state, which files of pycls have")
    weights = {
        name: value
        for name, value in content["model_state"].items()
        if not name.endswith("num_batches_tracked")
    }
    return {"model": weights, "__author__": "pycls", "matching_heuristics": True}


def save_numbered(folder: Path, iteration: int, content: dict[str, Any]) -> None:
    """Write the checkpoint after an iteration; of those before it, one stays.

    Raises:
        OSError: it cannot be written; those before it stay.
    """
    path = folder / f"model_{iteration:07d}.pth"
    write(path, content)
    write_whole(folder / LAST_CHECKPOINT, path.name.encode())
    for old in numbered(folder)[:-KEPT]:
        old.unlink()


def numbered(folder: Path) -> list[Path]:
    """The checkpoints of a folder, the newest last."""
    paths = [path for path in folder.glob("model_*.pth") if _NUMBERED.fullmatch(path.name)]
    return sorted(paths, key=lambda path: int(path.stem.removeprefix("model_")))


def newest_usable(folder: Path) -> Path | None:
    """Find the newest checkpoint that a training can be resumed from.

    One that cannot be used is renamed to ``<name>.unusable``, with a warning.
    """
    _check_last_checkpoint(folder)
    for path in reversed(numbered(folder)):
        fault = _fault(path)
        if not fault:
            return path
        logger.warning("A checkpoint cannot be used; falling back to the previous one: %s", fault)
        path.replace(path.with_suffix(".pth.unusable"))
    return None


def clear(folder: Path) -> None:
    """Remove the files that only serve to resume a training, and incomplete ones."""
    (folder / LAST_CHECKPOINT).unlink(missing_ok=True)
    for path in [*numbered(folder), *folder.glob("model_*.pth.unusable")]:
        path.unlink()
    remove_abandoned(folder)


def _fault(path: Path) -> str:
    try:
        missing = CONTENT - read(path).keys()
    except (ConfigError, OSError) as error:
        return str(error)
    return f"{path} lacks {', '.join(sorted(missing))}" if missing else ""


def _check_last_checkpoint(folder: Path) -> None:
    """Warn about a ``last_checkpoint`` that names none; the files themselves decide."""
    path = folder / LAST_CHECKPOINT
    if path.is_file():
        name = path.read_text("utf-8", errors="replace").strip()
        if not _NUMBERED.fullmatch(name) or not (folder / name).is_file():
            logger.warning("%s says %r, which is no checkpoint; it is ignored", path, name)
