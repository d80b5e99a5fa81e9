"""Writes model cards from records: ``README.md`` beside ``model_final.pth``.

    python -m reports.model_card --study mini       # of all cells of a study that are done
    python -m reports.model_card --record output/mini/records/focal-alpha0.25-gamma2-seed1.json
    python -m reports.model_card --record output/mini/records    # of a folder of records

A card is Markdown with the YAML header of the Hugging Face Hub: task, data, metrics, license. Its
numbers come from the record and from the records of the same setting's other seeds.

Exit codes: 0 if all cards were written, 2 if not (each error is reported).
"""

import argparse
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ablations.identity.fingerprint import flat
from ablations.records import speed as speeds
from ablations.records.record import DONE, Record, RecordError, load, load_folder
from ablations.records.speed import Speed
from ablations.storage.layout import Layout
from ablations.study.asked_seeds import MAX_SEEDS
from ablations.study.axes import AXES, LOSS_AXES, RETINANET
from ablations.study.cell import Setting
from ablations.study.default import default_study
from focal_star.io.writing import write_whole
from reports.results.labels import (
    METRICS,
    axis_label,
    axis_text,
    detector_label,
    loss_label,
    one_decimal,
    other_detector,
    short_name,
    text_of,
)
from reports.results.load import part
from reports.statistics.inference import Estimate, Runs, mean
from reports.tables import markdown

CARD = "README.md"
LICENSE = "apache-2.0"
UNUSABLE = 2

FORMULAS = {
    "ce": "-alpha_t log p_t",
    "focal": "-alpha_t (1 - p_t)^gamma log p_t",
    "focal_star": "-alpha_t ((1 - p_t) / p_t)^gamma log p_t",
    "focal_appendix": "-alpha_t log(sigmoid(gamma s + beta)) / gamma",
}
"""Name in configs -> formula, as in the project's README."""

TRAINING_KEYS = {
    "INPUT.MIN_SIZE_TRAIN": "short edge in training (px)",
    "INPUT.MIN_SIZE_TEST": "short edge in evaluation (px)",
    "SOLVER.OPTIMIZER": "optimizer",
    "SOLVER.BASE_LR": "learning rate",
    "SOLVER.LR_SCHEDULER_NAME": "schedule",
    "SOLVER.IMS_PER_BATCH": "images per batch",
    "SOLVER.MAX_ITER": "iterations",
    "SOLVER.WARMUP_ITERS": "warm-up iterations",
    "SOLVER.WEIGHT_DECAY": "weight decay",
    "MODEL.OHEM.METHOD": "hard example mining",
}
"""Key of the config -> label; ``config.yaml`` beside the card has all keys."""


class CardError(ValueError):
    """No card can be written; the message says why."""


def write_card(path: Path, output: Path | None = None) -> Path:
    """Write the card of a record and return its path.

    Args:
        path: the record, in the ``records`` folder of a study's output.
        output: the card's file; None for ``README.md`` beside the cell's checkpoint.

    Raises:
        CardError: the record cannot be read or is not done, or there is no checkpoint.
        OSError: the card cannot be written.
    """
    try:
        record = load(path)
    except RecordError as error:
        raise CardError(str(error)) from error
    if record.status != DONE:
        raise CardError(f"{path}: the status is {record.status}, so there is no trained model")
    layout = Layout(path.resolve().parent.parent)
    folder = layout.cell(record.cell)
    if output is None and not layout.cell_weights(record.cell).is_file():
        raise CardError(f"{folder} has no model_final.pth; give the card's file with --output")
    others, _ = load_folder(path.parent)
    measured, _ = speeds.load_folder(layout.speed)
    text = card(
        record,
        _same_setting(record, others.values()),
        _config(layout, record),
        measured[0] if measured else None,
    )
    target = output or folder / CARD
    write_whole(target, text.encode())
    return target


def card(
    record: Record,
    seeds: Sequence[Record],
    config: Mapping[str, Any],
    speed: Speed | None = None,
) -> str:
    """The card's text.

    Args:
        record: the record of the checkpoint's cell, which is done.
        seeds: all done records of its setting, including itself.
        config: dotted key -> value, for the keys of the cell's config; empty if unknown.
        speed: the times per image of the study; None if they were not measured.
    """
    environment = Environment(
        loader=PackageLoader("reports.page"),
        finalize=markdown.escape,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    template = environment.get_template("model_card.md.j2")
    return template.render(
        header=Markup(header(record)),
        **_about(record, config, speed),
        **_results(record, seeds),
        loss=_loss(record, config),
    )


def header(record: Record) -> str:
    """The YAML header with the Hub's ``model-index``."""
    name = str(record.dataset.get("name", ""))
    metrics = [
        {"type": metric, "name": f"{metric} (COCO, percent)", "value": float(value)}
        for metric, value in record.result["metrics"].items()
        if value is not None
    ]
    content = {
        "license": LICENSE,
        "library_name": "detectron2",
        "pipeline_tag": "object-detection",
        "tags": ["object-detection", "detectron2", "retinanet", "focal-loss", "focal_star"],
        "model-index": [
            {
                "name": record.cell,
                "results": [
                    {
                        "task": {"type": "object-detection", "name": "Object Detection"},
                        "dataset": {
                            "type": name,
                            "name": name,
                            "split": "val",
                            "revision": str(record.dataset.get("sha256", "")),
                        },
                        "metrics": metrics,
                    }
                ],
            }
        ],
    }
    return f"---\n{yaml.safe_dump(content, sort_keys=False)}---\n"


def _about(record: Record, config: Mapping[str, Any], speed: Speed | None) -> dict[str, Any]:
    environment = record.run.get("environment", {})
    # A record has its axes in the order of the alphabet.
    values = {axis: record.setting[axis] for axis in AXES if axis in record.setting}
    setting = Setting(tuple(values.items()))
    dataset = record.dataset
    backbone = str(config.get("MODEL.BACKBONE.NAME", ""))
    is_resnet = not backbone or "resnet" in backbone  # which plain Detectron2 has
    other, shown = other_detector(values), text_of(setting, schedule=1)
    detector = (other or detector_label(RETINANET)).name
    name = short_name(values) + (f" ({shown})" if shown else "")
    training = {"seed": record.seed} | {
        label: _value(config[key]) for key, label in TRAINING_KEYS.items() if key in config
    }
    training["initial weights, SHA-256"] = record.identity.get("weights") or "none"
    training["weights of this checkpoint, SHA-256"] = record.result.get("weights_sha256", "")
    if record.run.get("train_seconds") is not None:
        training["training time"] = f"{record.run['train_seconds']:.3g} s"
    time = speed.of(setting) if speed else None
    if speed and time and time.is_shown:
        training["time per image"] = f"{time.ms_per_image:.3g} ms ({speed.device})"
    categories = dataset.get("categories") or list(record.result.get("per_class_AP", {}))
    return {
        "title": f"{name if other else f'{detector} with {name}'} on {dataset.get('name', '')}",
        "model": detector + _words_of(backbone, config.get("MODEL.RESNETS.DEPTH"), is_resnet),
        "is_retinanet": other is None,
        "is_plain": is_resnet,
        "cell": record.cell,
        "versions": {"focal_star": environment.get("focal_star", "")},
        "dataset": {
            "name": dataset.get("name", ""),
            "sha256": dataset.get("sha256", ""),
            **{split: _split(dataset.get(split, {})) for split in ("train", "val")},
        },
        "categories": ", ".join(f"{number}: {name}" for number, name in enumerate(categories)),
        "training": list(training.items()),
        "command": markdown.code_block(record.command),
        "environment": [
            *((key, value) for key, value in environment.items() if value),
            ("commit", record.run.get("commit", "")),
            ("finished", record.run.get("finished", "")),
        ],
    }


def _words_of(name: str, depth: int | None, is_resnet: bool) -> str:
    """The words for a backbone, by the name of the function that builds it."""
    if is_resnet:
        return f" with a ResNet-{depth}" if depth else ""
    if "efficientnet_lite0" in name:
        return " with an EfficientNet-Lite0, frozen at its weights from ImageNet,"
    return f" with the backbone {name}"


def _loss(record: Record, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Name, formula and parameters; None for a detector with a different loss."""
    setting = record.setting
    if other_detector(setting):
        return None
    name = setting.get("loss", config.get("MODEL.FOCAL_STAR.LOSS", ""))
    parameters = [
        (axis_label(axis).header, axis_text(axis, setting[axis]))
        for axis in LOSS_AXES
        if axis in setting
    ]
    if "prior" not in setting and "MODEL.RETINANET.PRIOR_PROB" in config:
        parameters.append((axis_label("prior").header, config["MODEL.RETINANET.PRIOR_PROB"]))
    return {
        "name": loss_label(name).long if name in FORMULAS else f"loss {name}",
        "formula": FORMULAS.get(name, ""),
        "parameters": parameters,
    }


def _results(record: Record, seeds: Sequence[Record]) -> dict[str, Any]:
    rows = []
    for metric, value in record.result["metrics"].items():
        if value is None:
            continue
        single, over = _runs([record], metric), _runs(seeds, metric)
        whole = len(seeds) > 1 and over.replicates is not None
        rows.append(
            {
                "metric": METRICS[metric].header if metric in METRICS else metric,
                "value": one_decimal(value),
                "interval": _interval(mean(single)) if single.replicates is not None else "",
                "mean": _mean(over) if len(seeds) > 1 else "",
                "mean_interval": _interval(mean(over)) if whole else "",
            }
        )
    numbers = ", ".join(str(seed) for seed in sorted(other.seed for other in seeds))
    note = (
        f"Means ± standard deviations are over the {len(seeds)} seeds {numbers} of this setting."
        if len(seeds) > 1
        else "This setting was trained with one seed, so the spread between seeds is unknown."
    )
    if record.seed > MAX_SEEDS:
        note += (
            " If a tuning grid chose the setting, one half of these images took part in the "
            "choice: the study's report judges it on the other half."
        )
    per_class = record.result.get("per_class_AP", {})
    return {
        "results": rows,
        "seeds": note,
        "per_class": [
            (name, "" if value is None else one_decimal(value)) for name, value in per_class.items()
        ],
    }


def _runs(records: Sequence[Record], metric: str) -> Runs:
    """The runs of these records, with their resamples if all have the same ones."""
    measured = [record.result["metrics"].get(metric) for record in records]
    values = np.array([math.nan if value is None else value for value in measured])
    analyses = [part(record.result, "analysis", "bootstrap") for record in records]
    kinds = {tuple(one.get(key) for key in ("images", "resamples", "seed")) for one in analyses}
    replicates = [one.get(metric) for one in analyses]
    if len(kinds) > 1 or not all(
        isinstance(one, list) and len(one) > 1 and None not in one for one in replicates
    ):
        return Runs(values)
    return Runs(values, np.array(replicates, dtype=float), int(analyses[0]["images"]))


def _mean(runs: Runs) -> str:
    return f"{runs.values.mean():.1f} ± {runs.values.std(ddof=1):.1f}"


def _interval(estimate: Estimate) -> str:
    if math.isnan(estimate.low):
        return ""
    low, high = np.clip((estimate.low, estimate.high), 0, 100)  # AP is a percentage
    return f"{low:.1f} to {high:.1f}"


def _same_setting(record: Record, others: Iterable[Record]) -> list[Record]:
    """The done records that differ from this one only in the seed, including itself."""

    def without_seed(one: Record) -> dict[str, Any]:
        return {key: value for key, value in one.identity.items() if key != "seed"}

    return [
        other
        for other in others
        if other.status == DONE
        and other.setting == record.setting
        and without_seed(other) == without_seed(record)
    ]


def _config(layout: Layout, record: Record) -> dict[str, Any]:
    """Dotted key -> value of the cell's ``config.yaml``; empty if it cannot be read."""
    try:
        text = layout.cell_config(record.cell).read_text("utf-8")
        return dict(flat(yaml.safe_load(text)))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError):
        return {}


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "none" if value is None else str(value)


def _split(about: Mapping[str, Any]) -> str:
    if not {"num_images", "num_instances"} <= about.keys():
        return "an unknown number of images"
    return f"{about['num_images']} images with {about['num_instances']} objects"


def _records(path: Path) -> list[Path]:
    """The record itself, or the done records of a folder."""
    if not path.is_dir():
        return [path]
    records, _ = load_folder(path)
    return [path / f"{cell}.json" for cell, record in records.items() if record.status == DONE]


def main(argv: Sequence[str] | None = None) -> int:
    """Return an exit code; see the module."""
    parser = argparse.ArgumentParser(
        prog="python -m reports.model_card",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--record", type=Path, nargs="+", help="records, or folders of them")
    what.add_argument("--study", help="a study: the cards of all its cells")
    parser.add_argument("--dataset", type=Path, help="folder of your own data, with --study")
    parser.add_argument(
        "--output",
        type=Path,
        help="with --study, where runs write (default: output); with --record, the card's file",
    )
    options = parser.parse_args(argv)
    if options.study is not None:
        output = options.output or Path("output")
        name = options.study or default_study(output, options.dataset)[0]
        layout = Layout.of(output, name, options.dataset)
        records, target = [layout.records], None
        if not layout.records.is_dir():
            print(f"model_card: error: there is no {layout.records}", file=sys.stderr)
            return UNUSABLE
    else:
        records, target = options.record, options.output
        if options.dataset:
            parser.error("--dataset needs --study")
    if target and (len(records) > 1 or records[0].is_dir()):
        parser.error("--output is one file, but there are several records")
    paths = [path for given in records for path in _records(given)]
    if not paths:
        print(f"model_card: error: no cell of {records[0]} is done", file=sys.stderr)
    code = 0 if paths else UNUSABLE
    for path in paths:
        try:
            print(write_card(path, target))
        except (CardError, OSError) as error:
            print(f"model_card: error: {error}", file=sys.stderr)
            code = UNUSABLE
    return code


if __name__ == "__main__":
    sys.exit(main())
