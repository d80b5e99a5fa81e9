"""Prepares what cells need: the resolved config, the data set and the initial weights."""

import hashlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ablations.identity import environment
from ablations.identity.fingerprint import Identity, ResolvedConfig, flat
from ablations.identity.snapshot import CONFIGS, Code, checkout
from ablations.storage.json_files import read_object, write_json
from ablations.storage.layout import ROOT, Layout, tail
from ablations.storage.reading import PlanError
from ablations.study.axes import AXES, RETINANET, has_effect
from ablations.study.cell import Cell, Setting
from ablations.study.study import Study
from focal_star.io.quoting import shown

PREPARE = ["-m", "focal_star.tools.prepare"]

WEIGHTS = "MODEL.WEIGHTS"
MAX_ITER, SCALED_BY = "SOLVER.MAX_ITER", "SOLVER.SCALED_BY"
SCHEDULE = (MAX_ITER, "SOLVER.BASE_LR", "SOLVER.IMS_PER_BATCH")


class PrepareError(RuntimeError):
    """The config or the data set cannot be used; the message says why."""


@dataclass(frozen=True)
class Prepared:
    """Content of ``prepared.json``.

    Attributes:
        config: the study's config with every key.
        config_files: SHA-256 of the files that it was read from.
        dataset: ``name``, ``sha256``, ``categories``, and counts of ``train`` and ``val``.
        weights: variant (see :func:`variant`) -> ``path``, ``sha256`` and perhaps ``accuracy``.
        proposed: ``overrides``, ``text`` and ``warning`` of what is proposed for the data; the
            config has these values. Empty if the study asks for no proposal.
        overrides: the ``KEY VALUE`` pairs for the data and the initial weights, which the config
            was resolved with; empty in a file of an earlier version.
    """

    config: dict[str, Any]
    config_files: str
    dataset: dict[str, Any]
    weights: dict[str, dict[str, Any]]
    proposed: dict[str, Any] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)

    def identities(
        self, cells: list[Cell], processes: int = 1, code: Code | None = None
    ) -> dict[Cell, Identity]:
        """What determines each cell's result.

        Args:
            cells: the cells; cells whose setting has not been chosen yet are left out.
            processes: the number of processes per cell.
            code: the code that trains; by default that of the checkout.

        Raises:
            PlanError: axes that the config does not have, or weights that were not prepared.
        """
        config, known = ResolvedConfig(self.config), {}
        codes = (code or checkout()).losses()
        cells = [cell for cell in cells if not cell.setting.pending]
        for setting in dict.fromkeys(cell.setting for cell in cells):
            try:
                known[setting] = (
                    config.sha256(setting.config()),
                    self._weights(config, setting),
                    codes.get(_loss_of(config, setting), ""),
                )
            except KeyError as error:
                raise PlanError(f"{setting.id}: the config has no key {error}") from error
        return {
            cell: Identity(
                config=known[cell.setting][0],
                dataset=self.dataset.get("sha256") or self.dataset.get("name", ""),
                weights=known[cell.setting][1],
                seed=cell.seed,
                loss=known[cell.setting][2],
                processes=processes,
            )
            for cell in cells
        }

    def config_values(self, study: Study, cell: Cell) -> dict[str, Any]:
        """Dotted key -> value: the axes, the seed and the schedule that the cell's training has.

        Keys that a training derives from others, such as sizes and anchors, are left out, and so is
        the schedule if Detectron2 scales it with the number of processes.
        """
        config = ResolvedConfig(self.config)
        scales = "SOLVER.REFERENCE_WORLD_SIZE" in config and config["SOLVER.REFERENCE_WORLD_SIZE"]
        keys = () if scales else (*SCHEDULE, SCALED_BY)
        schedule = {key: config[key] for key in keys if key in config}
        factor = cell.setting.schedule / schedule.pop(SCALED_BY, 1)
        if MAX_ITER in schedule:
            schedule[MAX_ITER] = max(1, round(schedule[MAX_ITER] * factor))
        values = study.known_axes | cell.setting.as_dict()
        axes = {
            AXES[axis].key: value
            for axis, value in values.items()
            if AXES[axis].key in config and has_effect(axis, values)
        }
        return schedule | axes | {"SEED": cell.seed}

    def files(self) -> list[str]:
        """The files that were hashed for the data set and the weights, without the images."""
        splits = (self.dataset.get(split, {}) for split in ("train", "val"))
        paths = [about.get("annotation_file") for about in splits if isinstance(about, dict)]
        paths += [about.get("path") for about in self.weights.values()]
        return [path for path in paths if isinstance(path, str) and path]

    def dataset_of_record(self) -> dict[str, Any]:
        """The data set's description for records, without the lists that grow with the data set."""
        return {
            name: {key: value for key, value in about.items() if key != "per_category"}
            if isinstance(about, dict)
            else about
            for name, about in self.dataset.items()
        }

    def _weights(self, config: ResolvedConfig, setting: Setting) -> str:
        """The weights' hash; if there is none, their name in the config."""
        weights = self.weights.get(variant(setting), {})
        return weights.get("sha256") or str(weights.get("path") or config[WEIGHTS])


def _loss_of(config: ResolvedConfig, setting: Setting) -> str:
    """The loss that a setting is trained with; "" if its detector has none to choose."""
    detector, loss = AXES["detector"].key, AXES["loss"].key
    values = {key: config[key] for key in (detector, loss) if key in config} | setting.config()
    return values.get(loss, "") if values.get(detector, RETINANET) == RETINANET else ""


def variant(setting: Setting) -> str:
    """The ``KEY VALUE`` pairs of a setting that decide which initial weights it needs."""
    return shlex.join(
        text
        for axis, value in setting.values
        if AXES[axis].changes_weights
        for text in (AXES[axis].key, str(value))
    )


def prepare(
    study: Study,
    layout: Layout,
    data_overrides: list[str],
    *,
    code: Code | None = None,
    resolve_only: bool = False,
    gpus: int = 0,
) -> Prepared:
    """Start a process that resolves the config and makes the data set and the initial weights.

    Args:
        study: its config and settings are used.
        layout: its ``prepared.json`` and ``prepare.log`` are written.
        data_overrides: the ``KEY VALUE`` pairs for the folders of the data.
        code: the code that the process runs; by default the checkout's.
        resolve_only: make neither data nor weights, and write nothing to the study's folder.
        gpus: the number of GPUs that this machine must have; 0 if other machines train.

    Raises:
        PrepareError: the process's error message.
    """
    code = code or checkout()
    config_files = config_files_sha256(code.config_file(study.config))
    variants = dict.fromkeys(variant(cell.setting) for cell in study.cells())
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "prepared.json"
        log = Path(folder) / layout.prepare_log.name if resolve_only else layout.prepare_log
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable, *PREPARE,
            "--config-file", str(code.config_file(study.config)), "--json", str(made),
            *(["--resolve-only"] if resolve_only else []),
            *(["--propose"] if study.propose else []),
            *(["--num-gpus", str(gpus)] if gpus else []),
            *(text for pairs in variants for text in ("--variant", pairs)),
            *data_overrides,
        ]  # fmt: skip
        _call(command, log, code)
        content = json.loads(made.read_text(encoding="utf-8"))
    before, config = load(layout) or Prepared({}, "", {}, {}), content["config"]
    dataset, weights = content.get("dataset", before.dataset), content.get("weights", {})
    sha256 = dataset.get("sha256")
    same_data = before.dataset == dataset or (sha256 and before.dataset.get("sha256") == sha256)
    same_weights = dict(flat(before.config)).get(WEIGHTS) == dict(flat(config)).get(WEIGHTS)
    if same_weights and (resolve_only or (before.config_files == config_files and same_data)):
        weights = before.weights | weights  # grids that are not run now needed others
    proposed = content.get("proposed", {})
    prepared = Prepared(config, config_files, dataset, weights, proposed, data_overrides)
    check_base(study, ResolvedConfig(prepared.config), data_overrides)
    if not resolve_only:
        _check_halves(study, dataset)
        write_json(layout.prepared, vars(prepared))
    return prepared


def _call(command: list[str], log: Path, code: Code) -> None:
    """Run ``focal_star.tools.prepare``; raise its error as a PrepareError."""
    variables = environment.memory() | code.variables()
    with log.open("w", encoding="utf-8") as file:
        ended = subprocess.run(
            command, cwd=ROOT, env=os.environ | variables, stdout=file, stderr=file, check=False
        )
    if ended.returncode:
        text = log.read_text(encoding="utf-8", errors="replace")
        _, marker, message = text.rpartition("\nerror: " if "\nerror: " in text else "error: ")
        is_message = marker and ended.returncode == 2
        raise PrepareError(
            code.in_checkout(message.strip() if is_message else f"preparing failed:\n{tail(text)}")
        )


def load(layout: Layout) -> Prepared | None:
    """The content of ``prepared.json``; None if the file is missing or broken."""
    try:
        return Prepared(**read_object(layout.prepared))
    except TypeError:
        return None


def is_current(prepared: Prepared, study: Study, code: Code | None = None) -> bool:
    """Whether the config's files are unchanged and the resolved config has every axis."""
    file = (code or checkout()).config_file(study.config)
    config = ResolvedConfig(prepared.config)
    keys = {key for cell in study.cells() for key in cell.setting.config()}
    return prepared.config_files == config_files_sha256(file) and all(key in config for key in keys)


def config_files_sha256(path: Path) -> str:
    """SHA-256 of a config file followed by its chain of ``_BASE_`` files.

    Raises:
        PrepareError: a file that cannot be read.
    """
    digest = hashlib.sha256()
    for _, content, _ in _config_files(path):
        digest.update(content)
    return digest.hexdigest()


def config_files_beyond(code: Code, study: Study) -> list[Path]:
    """The files of a study's config outside the code's folder, which no snapshot contains."""
    inside = (ROOT / code.root).resolve()
    paths = [path for path, _, _ in _config_files(code.config_file(study.config))]
    return [path for path in paths if not (ROOT / path).resolve().is_relative_to(inside)]


def written_config(study: Study) -> dict[str, Any]:
    """Dotted key -> value, for the keys in the study's config file and its bases.

    Raises:
        PrepareError: a file that cannot be read.
    """
    files = list(_config_files(CONFIGS / study.config))
    return {key: value for _, _, keys in reversed(files) for key, value in flat(keys)}


def _config_files(path: Path) -> Iterator[tuple[Path, bytes, dict[str, Any]]]:
    """Path, content and keys of a config file and then of its bases."""
    seen: list[Path] = []
    following: Path | None = path
    while following:
        path = following
        if path in seen:
            raise PrepareError(f"{path}: is its own _BASE_")
        seen.append(path)
        try:
            content = (ROOT / path).read_bytes()
            keys = yaml.safe_load(content) or {}
            base = keys.get("_BASE_")
            if not isinstance(base, str | None):
                raise ValueError(f"_BASE_ is {shown(base)}, not the name of a file")
        except (OSError, AttributeError, ValueError, yaml.YAMLError) as error:
            raise PrepareError(f"{path}: {error}") from error
        except RecursionError as error:
            raise PrepareError(f"{path}: nested too deeply") from error
        yield path, content, keys
        following = path.parent / base if base else None


def _check_halves(study: Study, dataset: dict[str, Any]) -> None:
    """Raise a PrepareError, before any training, if tuning cannot halve the validation images."""
    images = dataset["val"]["num_images"]
    if study.tuning and images < 2:
        raise PrepareError(
            f"data set {dataset['name']}: the validation split has {images} image, and study "
            f"{study.name} tunes: one half of the images selects settings and the other reports "
            "them, so at least 2 are needed"
        )


def check_base(study: Study, config: ResolvedConfig, overrides: Sequence[str] = ()) -> None:
    """Raise a PrepareError if a study's ``base`` or a row would not be what is trained.

    Args:
        study: the study.
        config: its config, with the overrides.
        overrides: ``KEY VALUE`` pairs of the config that all cells have.
    """
    wrong = {
        AXES[axis].key: f"{axis} is {value!r}, and {AXES[axis].key} of {study.config} is "
        f"{config[AXES[axis].key]!r}"
        for axis, value in study.known_axes.items()
        if AXES[axis].key in config and config[AXES[axis].key] != value
    }
    of_rows = {AXES[axis].key for cell in study.cells() for axis in cell.setting.as_dict()}
    if of_keys := [key for key in overrides[::2] if key in wrong or key in of_rows]:
        raise PrepareError(
            f"KEYS: {', '.join(of_keys)} cannot have another value for all cells of study "
            f"{study.name}; vary the axis in a grid"
        )
    if wrong:
        raise PrepareError(f"studies/{study.name}.yaml: base: " + "; ".join(wrong.values()))
