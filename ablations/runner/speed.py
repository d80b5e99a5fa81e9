"""Measures the time per image of a study's architectures, after its cells.

Nothing else of the study runs meanwhile. Each architecture is timed once, whatever its loss and
seeds, with the checkpoint of one of its cells. A round times every architecture on some images, in
random order; one architecture is entered twice, as a control.
"""

import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone

from ablations.identity import machine, snapshot
from ablations.identity import prepared as preparing
from ablations.records import speed as records
from ablations.records.record import DONE, Record, load_folder
from ablations.records.speed import CONTROL, Attempt, Entry, Speed, name_of
from ablations.runner import gpus
from ablations.runner.request import Request, RunError
from ablations.runner.sole_run import signals_as_ctrl_c, sole_owner
from ablations.runner.speed_process import speed_process
from ablations.status import today
from ablations.status.status import status
from ablations.status.units import duration
from ablations.storage.layout import Layout
from ablations.study.cell import Cell, Setting

MIN_ROUNDS, MAX_ROUNDS = 10, 40
"""A process is faster or slower than the next one by some percent, whatever it times, so rounds
narrow the intervals, and images hardly do."""

IMAGES = 50
MIN_IMAGES = 20
"""Images per architecture and round, and the minimum if the architectures are slow."""

WARMUP_IMAGES = 20
"""The number of images with which ``focal_star.evaluation.rounds`` warms up before each round."""

SECONDS = 80.0
"""The time limit of a measurement, or ``SHARE`` of the study's training time if that is longer."""
SHARE = 0.05

MAX_ATTEMPTS = 3
SEED = 0
"""The seed of the order within the rounds."""


def measure(request: Request, again: bool = True) -> int:
    """Time the architectures of a study, and write the file of this machine.

    Args:
        request: the study and its folder.
        again: whether to measure even if the folder already has the times of this machine, if no
            table shows times, or if a cluster has trained the cells.

    Returns:
        0 if all architectures of the requested cells have a time, 1 if some have none.

    Raises:
        RunError: the folder is in use, no cell is done, or the process that measures died.
        KeyboardInterrupt: nothing is written, and an earlier file is kept.
    """
    layout = request.layout
    if not again and not request.study.timed_grids:
        return 0
    if request.engine == "slurm" and not again:
        print("speed: not measured here; run `make speed` on a machine like the cluster's nodes")
        return 0
    with sole_owner(layout), signals_as_ctrl_c():
        before = _before(layout)
        entries, without = chosen(request, before, only_shown=not again)
        for name, reason in without.items():
            print(f"speed: {name} is not timed: {reason}", flush=True)
        if not entries and not again:
            return 1
        if not entries:
            raise RunError("no cell has a checkpoint to time; run the study first")
        if before and not again and entries.items() <= before.entries.items():
            print(f"speed: measured before on this machine ({before.finished})", flush=True)
            return 1 if without else 0
        speed = _measure(layout, entries, without)
        path = records.save(speed, layout.speed)
        print(f"speed: {path}: {summary(speed)}", flush=True)
        if before:
            print(f"speed: {agreement(speed, before)}", flush=True)
    return 1 if speed.not_timed else 0


def chosen(
    request: Request, before: Speed | None, only_shown: bool
) -> tuple[dict[str, Entry], dict[str, str]]:
    """The checkpoint of each architecture, and the architectures without one.

    Where possible, all checkpoints have the same loss: the one that most architectures were trained
    with. A checkpoint that was timed before is used again, unless its cell has been retrained.
    Architectures from an earlier measurement are timed too, so that all times come from the same
    rounds.

    Args:
        request: the study and its folder.
        before: the earlier measurement; None if there is none.
        only_shown: whether only the architectures of tables that show times count.

    Returns:
        Name -> what is timed; and name -> the reason why it cannot be timed.
    """
    layout, study = request.layout, request.study
    prepared, code = preparing.load(layout), today.code(layout)
    identities = None
    if prepared:
        identities = prepared.identities(study.cells(), today.processes(layout, study), code)
    study_status = status(study, layout, identities)
    earlier = {
        name: entry
        for name, entry in (before.entries if before else {}).items()
        if name != CONTROL and _is_there(layout, study_status.records.get(entry.cell), entry)
    }
    done = {cell.id for cell, state in study_status.states.items() if state == DONE}
    settings = [cell.setting for cell in study.cells()]
    if only_shown:
        settings = [row.setting for grid in study.timed_grids for row in grid.rows]
    cells: dict[Setting, list[Cell]] = {setting.architecture: [] for setting in settings}
    for cell, state in study_status.states.items():
        architecture = cell.setting.architecture
        if state == DONE and architecture in cells and layout.cell_weights(cell.id).is_file():
            cells[architecture].append(cell)
    # The loss affects how many boxes enter NMS, so all checkpoints should have the same loss.
    losses = Counter(
        loss for group in cells.values() for loss in {cell.setting.loss_axes for cell in group}
    )
    entries, without = {}, {}
    for architecture, usable in cells.items():
        name = name_of(architecture)
        if name in earlier and earlier[name].cell in done:
            entries[name] = earlier[name]
        elif usable:
            cell = max(usable, key=lambda cell: losses[cell.setting.loss_axes])
            record = study_status.records[cell.id]
            entries[name] = Entry(architecture.as_dict(), cell.id, record.fingerprint)
        else:
            without[name] = "none of its cells is done and has a checkpoint"
    return entries | {n: e for n, e in earlier.items() if n not in entries}, without


def summary(speed: Speed) -> str:
    """A summary of the control, and of the times that vary too much between rounds."""
    control = speed.control
    text = f"{_architectures(speed.entries)}; the control is {control.ratio:.3f} of itself"
    if control.ratio_low is not None and control.ratio_high is not None:
        text += f" ({control.ratio_low:.3f} to {control.ratio_high:.3f})"
    if speed.busy_cpus > records.MAX_BUSY_CPUS:
        text += f"; other processes used {speed.busy_cpus:.1f} processors meanwhile"
    noisy = [name for name, time in speed.times.items() if not time.is_shown]
    return text + (f"; too noisy to be drawn: {', '.join(noisy)}" if noisy else "")


def _architectures(entries: Mapping[str, Entry]) -> str:
    number = len(entries) - 1  # without the control
    return f"{number} architecture" + "s" * (number != 1)


def agreement(speed: Speed, before: Speed) -> str:
    """How well two measurements on the same machine agree."""
    shared = [name for name in speed.times if name in before.times]
    changes = [speed.times[n].ms_per_image / before.times[n].ms_per_image for n in shared]
    return (
        f"the times are {min(changes):.3f} to {max(changes):.3f} of those that were measured "
        f"before ({before.finished})"
    )


def rounds(
    timed: Callable[[str, int], records.Sample],
    names: Sequence[str],
    images: int,
    number: int,
    seed: int,
) -> Attempt:
    """Time everything once per round, in an order that is drawn for each round.

    Args:
        timed: function that times a name on a number of images.
        names: what is timed.
        images: per name and round.
        number: the number of rounds.
        seed: the seed of the random order.
    """
    random_state, orders = random.Random(seed), []
    samples: dict[str, list[records.Sample]] = {name: [] for name in names}
    for _ in range(number):
        orders.append(random_state.sample(list(names), len(names)))
        for name in orders[-1]:
            samples[name].append(timed(name, images))
    return Attempt(orders, samples)


def calm(measured: Callable[[int], Attempt]) -> tuple[list[Attempt], int]:
    """Measure until the rounds agree, ``MAX_ATTEMPTS`` times at most.

    Args:
        measured: function that returns the attempt with this index, from 0.

    Returns:
        All attempts, and the index of the attempt whose worst spread is the smallest.
    """
    attempts: list[Attempt] = []
    while len(attempts) < MAX_ATTEMPTS:
        attempts.append(measured(len(attempts)))
        worst = attempts[-1].worst_spread
        if worst <= records.MAX_SPREAD_CALM:
            break
        print(
            f"speed: the machine is busy: the quartiles of the rounds are up to {100 * worst:.0f} "
            "% of the median apart" + ("; measuring again" if len(attempts) < MAX_ATTEMPTS else ""),
            flush=True,
        )
    spreads = [attempt.worst_spread for attempt in attempts]
    return attempts, spreads.index(min(spreads))


def images_of(ms: Sequence[float], seconds: float) -> int:
    """The number of images per round with which ``MIN_ROUNDS`` stay within a time limit.

    Args:
        ms: the time per image of everything that is timed.
        seconds: the time limit.
    """
    fitting = seconds / (MIN_ROUNDS * sum(ms) / 1000) - WARMUP_IMAGES
    return int(min(IMAGES, max(MIN_IMAGES, fitting // 10 * 10)))


def rounds_of(round_seconds: float, seconds: float) -> int:
    """The number of rounds that fit into a time limit, ``MIN_ROUNDS`` to ``MAX_ROUNDS``."""
    return int(min(MAX_ROUNDS, max(MIN_ROUNDS, seconds // round_seconds)))


def _before(layout: Layout) -> Speed | None:
    """The earlier file of this machine; None if there is no readable one."""
    try:
        return records.load(records.file_of(layout.speed, machine.describe()))
    except records.SpeedError:
        return None


def _is_there(layout: Layout, record: Record | None, entry: Entry) -> bool:
    """Whether an entry's checkpoint still exists and is the one that was timed."""
    return (
        record is not None
        and record.fingerprint == entry.fingerprint
        and layout.cell_weights(entry.cell).is_file()
    )


def _measure(layout: Layout, entries: dict[str, Entry], without: dict[str, str]) -> Speed:
    # The control repeats the study's own architecture, or else the first.
    reference = records.BASE if records.BASE in entries else next(iter(entries))
    entries = entries | {CONTROL: entries[reference]}
    checkpoints = [layout.cell_weights(entry.cell) for entry in entries.values()]
    code = snapshot.checkout()
    print(f"speed: {_architectures(entries)} and a control", flush=True)
    gpu = next(iter(gpus.visible()), "")
    with speed_process(checkpoints, code, layout.speed_log, gpu) as process:
        numbers = {name: number for number, name in enumerate(entries)}
        failed = {name: process.problems[number] for name, number in numbers.items()}
        failed = {name: problem for name, problem in failed.items() if problem}
        for name, problem in failed.items():
            print(f"speed: {name} is not timed: {problem}", flush=True)
        if reference in failed or CONTROL in failed:
            raise RunError(f"{reference}, which the others are compared with, cannot be timed")
        entries = {name: entry for name, entry in entries.items() if name not in failed}
        limit = max(SECONDS, SHARE * _training_seconds(layout))
        began = time.perf_counter()
        ms = [statistics.median(process.time(numbers[n], MIN_IMAGES).ms) for n in entries]
        shortest = time.perf_counter() - began
        images = images_of(ms, limit)
        round_seconds = shortest + (images - MIN_IMAGES) * sum(ms) / 1000
        number = rounds_of(round_seconds, limit)
        print(
            f"speed: {number} rounds of {images} images each: about "
            f"{duration(number * round_seconds)}; repeated if other programs disturb them",
            flush=True,
        )

        def timed(name: str, count: int) -> records.Sample:
            return process.time(numbers[name], count)

        attempts, counted = calm(
            lambda attempt: rounds(timed, list(entries), images, number, SEED + attempt)
        )
    return Speed(
        machine=machine.describe(),
        commit=snapshot.commit(),
        finished=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        images=images,
        warmup_images=WARMUP_IMAGES,
        seed=SEED,
        entries=entries,
        reference=reference,
        attempts=attempts,
        counted=counted,
        times=records.times(attempts[counted], reference),
        not_timed=without | failed,
    )


def _training_seconds(layout: Layout) -> float:
    """The training time of all cells of a study."""
    by_cell, _ = load_folder(layout.records)
    times = (record.run.get("train_seconds") for record in by_cell.values())
    return sum(seconds for seconds in times if isinstance(seconds, int | float))
