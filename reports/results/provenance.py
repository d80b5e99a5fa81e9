"""Data set, schedule, hardware, versions and commits, gathered from the records.

If records differ, every distinct value is listed.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from ablations.records.record import DONE, Record
from ablations.study.study import schedule_name
from reports.results.load import Results, part

WORLD_SIZE = "SOLVER.REFERENCE_WORLD_SIZE"
"""The number of GPUs for which a config's schedule is written; 0 if it is for any number."""

HARDWARE = ("gpu", "cpu", "num_threads")
"""The entries of a record's environment that are not versions."""

NUMERICAL = ("torch", "torchvision", "detectron2", "numpy")
"""The libraries whose versions can move a number."""


def dataset_name(results: Results) -> str:
    """The name of the data set: from the records, else as prepared, else as planned."""
    names = distinct(record.dataset.get("name") for record in results.records.values())
    if names:
        return ", ".join(names)
    return str(_prepared(results).get("name") or results.study.dataset or "your data")


def dataset_facts(results: Results) -> dict[str, Any]:
    """``name``, ``sha256``, ``splits`` (name, images, instances), ``subset`` and ``categories``.

    ``subset`` says which part of another data set the training images are; "" if they are none.
    """
    prepared = _prepared(results)
    records = list(results.records.values())
    source = prepared or (records[0].dataset if records else {})
    hashes = distinct(record.dataset.get("sha256") for record in records)
    return {
        "name": dataset_name(results),
        "sha256": ", ".join(hashes) or str(prepared.get("sha256", "")),
        "splits": [
            (split, numbers.get("num_images", ""), numbers.get("num_instances", ""))
            for split in ("train", "val")
            if (numbers := part(source, split))
        ],
        "subset": _subset(part(source, "train", "subset")),
        "categories": [str(name) for name in prepared.get("categories") or ()],
    }


def _subset(about: dict[str, Any]) -> str:
    if not {"share", "of", "name", "image_ids_sha256"} <= about.keys():
        return ""
    return (
        f"train: {100 * about['share']:g} % of the {about['of']:,} images of {about['name']}, "
        "chosen by a hash of their ids so that each category keeps its share; SHA-256 of the list "
        f"of ids {about['image_ids_sha256']}"
    )


def schedule(records: Sequence[Record]) -> str:
    """For example ``0.25x, 750 iterations``; of finished cells if there are any."""
    counts = distinct(
        f"{_schedule_name(record)}{record.result['iterations']} iterations"
        for record in [r for r in records if r.status == DONE] or records
        if record.result.get("iterations") not in (None, "")
    )
    if any(", " in count for count in counts):
        return "; ".join(counts)
    numbers = ", ".join(count.removesuffix(" iterations") for count in counts)
    return f"{numbers} iterations" if counts else ""


def _schedule_name(record: Record) -> str:
    """For example ``0.25x, ``; "" if the record is from before schedules had names."""
    if "schedule" not in record.setting and "config" not in record.run:
        return ""
    length = record.setting.get("schedule", 1.0)  # a setting at 1x names no schedule
    return f"{schedule_name(length)}, " if isinstance(length, int | float) else ""


def images_per_batch(results: Results, processes: int) -> float | None:
    """The images per batch of a training with so many processes; None if it is unknown."""
    config = results.config
    batch = config.get("SOLVER.IMS_PER_BATCH")
    return batch * processes / (config.get(WORLD_SIZE) or processes) if batch else None


def training_images(results: Results, record: Record) -> tuple[int, int]:
    """The images that the training of a record reads, and those that it skips; 0 if unknown.

    It skips images without objects unless ``DATALOADER.FILTER_EMPTY_ANNOTATIONS`` is False. Old
    records lack ``num_without_objects``. It then comes from the prepared study, if that has the
    same training annotations.
    """
    train, prepared = part(record.dataset, "train"), part(_prepared(results), "train")
    if train.get("sha256") and train["sha256"] == prepared.get("sha256"):
        train = {**prepared, **train}
    images, skipped = train.get("num_images") or 0, train.get("num_without_objects") or 0
    if results.config.get("DATALOADER.FILTER_EMPTY_ANNOTATIONS") is False:
        skipped = 0
    return images - skipped, skipped


def epochs_at_1x(results: Results, records: Sequence[Record]) -> tuple[float, str] | None:
    """The epochs at schedule 1x, and the images that they are of; None if no run has ended."""
    for record in records:
        iterations = record.result.get("iterations") if record.status == DONE else None
        images, skipped = training_images(results, record)
        batch = images_per_batch(results, record.identity.get("processes") or 1)
        if iterations and images and batch:
            epochs = iterations * batch / images / record.setting.get("schedule", 1.0)
            return float(epochs), "training images" + (" with objects" if skipped else "")
    return None


def linear_scaling(results: Results, records: Sequence[Record]) -> list[str]:
    """A sentence for each number of GPUs to which Detectron2 has scaled the config's schedule."""
    config = results.config
    reference, rate = config.get(WORLD_SIZE), config.get("SOLVER.BASE_LR")
    if not (reference and rate and config.get("SOLVER.IMS_PER_BATCH")):
        return []
    return [
        f"by the linear rule (arXiv:1706.02677) from the config's {reference} GPUs to {number}: "
        f"{images_per_batch(results, number):g} images per batch, learning rate "
        f"{rate * number / reference:g}, {reference / number:g} times as many iterations"
        for number in sorted({record.identity.get("processes") or 1 for record in records})
        if number != reference
    ]


def hardware(records: Sequence[Record]) -> str:
    """Each distinct machine: its GPU if it has one, else its CPU and number of threads."""
    machines = []
    for environment in map(_environment, records):
        if environment.get("gpu"):
            machines.append(str(environment["gpu"]))
        elif environment.get("cpu"):
            threads = environment.get("num_threads")
            machines.append(str(environment["cpu"]) + (f", {_threads(threads)}" if threads else ""))
    return "; ".join(distinct(machines))


def versions(records: Sequence[Record]) -> list[tuple[str, str]]:
    """(package, versions) of every package in the records' environments."""
    names = distinct(name for record in records for name in _environment(record))
    return [
        (name, ", ".join(distinct(_environment(record).get(name) for record in records)))
        for name in names
        if name not in HARDWARE
    ]


def commits(records: Sequence[Record]) -> str:
    """The code's commits, shortened."""
    return ", ".join(
        re.sub(r"^([0-9a-f]{10})[0-9a-f]{30}", r"\1", commit)
        for commit in distinct(record.run.get("commit") for record in records)
    )


def mixed_versions(records: Sequence[Record]) -> str:
    """The libraries that have several versions in these records: ``torch 2.0, 2.1``."""
    several = [(name, text) for name, text in versions(records) if name in NUMERICAL]
    return "; ".join(f"{name} {text}" for name, text in several if ", " in text)


def caption(results: Results, records: Sequence[Record]) -> str:
    """Data set, schedule, hardware, differing versions and commit of these records in a line."""
    if not records:
        return f"{dataset_name(results)}; no cell has a result yet"
    images = distinct(part(record.dataset, "val").get("num_images") for record in records)
    parts = (
        ", ".join(distinct(record.dataset.get("name") for record in records)),
        f"{', '.join(images)} validation images" if images else "",
        schedule(records),
        hardware(records),
        mixed_versions(records),
        f"commit {commits(records)}" if commits(records) else "",
    )
    return " · ".join(part for part in parts if part)


def weights(results: Results) -> list[str]:
    """A text for each file of initial weights."""
    texts = []
    for variant, about in (results.prepared.weights if results.prepared else {}).items():
        facts = []
        if isinstance(about.get("accuracy"), int | float):
            facts.append(f"accuracy {about['accuracy']:.1f} % in pretraining")
        if about.get("sha256"):
            facts.append(f"SHA-256 {about['sha256']}")
        if facts:
            texts.append((f"with {variant}: " if variant else "") + ", ".join(facts))
    return texts


def distinct(values: Iterable[Any]) -> list[str]:
    """Each value once as text, in order of first appearance; None and "" are left out."""
    return list(dict.fromkeys(str(value) for value in values if value not in (None, "")))


def _environment(record: Record) -> dict[str, Any]:
    return part(record.run, "environment")


def _prepared(results: Results) -> dict[str, Any]:
    return results.prepared.dataset if results.prepared else {}


def _threads(number: Any) -> str:
    return f"{number} thread" + ("" if str(number) == "1" else "s")
