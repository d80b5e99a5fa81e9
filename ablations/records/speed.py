"""The times per image of a study's architectures on one machine: schema, reading and writing.

An architecture is the part of a setting that changes the network or its input
(:attr:`ablations.study.cell.Setting.architecture`). The file has every measured time, and the
statistics computed from them.
"""

import hashlib
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from ablations.records.rounds import centre, ratios, spread
from ablations.storage.json_files import write_json
from ablations.storage.schemas import check
from ablations.study.cell import Setting
from focal_star.io.quoting import shown

SCHEMA: Final = 1

MAX_SPREAD_CALM = 0.10
"""Everything is timed again if an interquartile range over the median exceeds this."""

MAX_SPREAD_SHOWN = 0.25
"""A time whose spread exceeds this is marked in tables and left out of figures."""

MAX_BUSY_CPUS = 0.25
"""If other processes used more processors than this, times are marked as disturbed."""

MAX_CONTROL_DIFFERENCE = 0.03
"""A control whose ratio is further from 1 shows that the times cannot be relied on."""

CONTROL = "control"
"""The name of the control, which repeats another entry in processes of its own."""

BASE = "base"
"""The name of the architecture of the study's config, whose setting has no axes."""

Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class SpeedError(ValueError):
    """A file of times cannot be used; the message names the file and the problem."""


class Sample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One architecture in one round; see ``focal_star.evaluation.rounds.Sample``."""

    ms: Annotated[list[Positive], msgspec.Meta(min_length=1)]
    cpu_ms: NotNegative
    busy_cpus: float | None
    stolen_cpus: float | None
    load: float
    clock_mhz: float | None
    affinity: list[int]
    threads: Count
    device: str


class Attempt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One measurement, which consists of several rounds.

    Attributes:
        orders: for each round, the entries in the order in which they were timed.
        samples: entry -> its sample of each round.
    """

    orders: list[list[str]]
    samples: dict[str, list[Sample]]

    def medians(self, name: str) -> list[float]:
        """The median time of an entry in each round, ms."""
        return [statistics.median(sample.ms) for sample in self.samples[name]]

    @property
    def worst_spread(self) -> float:
        """The largest spread of an entry's rounds."""
        return max(spread(self.medians(name)) for name in self.samples)


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An architecture that was timed.

    Attributes:
        axes: axis -> value of the architecture; empty for the architecture of the study's config.
        cell: the cell whose checkpoint was loaded.
        fingerprint: the fingerprint in that cell's record.
    """

    axes: dict[str, int | float | str | None]
    cell: str
    fingerprint: str


class Time(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The statistics of an entry's rounds.

    Attributes:
        ms_per_image: the median over the rounds of the median within a round.
        low: lower end of its interval, see :func:`ablations.records.rounds.centre`.
        high: upper end.
        spread: the interquartile range of the rounds, divided by their median.
        ratio: the median of the ratios to the reference entry within the rounds.
        ratio_low: lower end of its interval.
        ratio_high: upper end.
    """

    ms_per_image: Positive
    low: Positive | None
    high: Positive | None
    spread: NotNegative
    ratio: Positive
    ratio_low: Positive | None
    ratio_high: Positive | None

    @property
    def is_shown(self) -> bool:
        """Whether the rounds agree well enough for the time to be drawn."""
        return self.spread <= MAX_SPREAD_SHOWN


class Speed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The times of a study on one machine.

    Attributes:
        machine: name -> text, see :func:`ablations.identity.machine.describe`.
        commit: the commit of the code that was timed.
        finished: UTC, ISO 8601.
        images: the number of timed images per round.
        warmup_images: the number of untimed images before each round.
        seed: the seed that determines the order within the rounds.
        entries: name -> what was timed.
        reference: the entry that ``control`` repeats and that ratios refer to.
        attempts: all measurements.
        counted: the index of the attempt from which the times are computed.
        times: name -> statistics.
        not_timed: architectures that could not be timed, with the reason.
    """

    machine: dict[str, str]
    commit: str
    finished: str
    images: Count
    warmup_images: Annotated[int, msgspec.Meta(ge=0)]
    seed: int
    entries: dict[str, Entry]
    reference: str
    attempts: Annotated[list[Attempt], msgspec.Meta(min_length=1)]
    counted: Annotated[int, msgspec.Meta(ge=0)]
    times: dict[str, Time]
    not_timed: dict[str, str] = {}
    schema: Literal[1] = SCHEMA

    def of(self, setting: Setting) -> Time | None:
        """The time of a setting's architecture."""
        return self.times.get(name_of(setting.architecture))

    @property
    def control(self) -> Time:
        """The time of the control; its ratio should be 1."""
        return self.times[CONTROL]

    @property
    def device(self) -> str:
        """The name of the processor or GPU that computed."""
        device = self.attempts[self.counted].samples[self.reference][0].device
        return self.machine.get("cpu", device) if device == "cpu" else device

    @property
    def busy_cpus(self) -> float:
        """The median number of processors that other processes used meanwhile; 0 if unknown."""
        samples = self.attempts[self.counted].samples.values()
        busy = [sample.busy_cpus for of_entry in samples for sample in of_entry]
        known = [cpus for cpus in busy if cpus is not None]
        return statistics.median(known) if known else 0.0

    @property
    def rounds(self) -> int:
        return len(self.attempts[self.counted].orders)


def name_of(architecture: Setting) -> str:
    """The name of an architecture in a file, for example ``depth34-edge168``."""
    return architecture.id or BASE


def times(attempt: Attempt, reference: str) -> dict[str, Time]:
    """The statistics of an attempt.

    Args:
        attempt: the rounds.
        reference: the entry that the ratios refer to.
    """
    by_name, references = {}, attempt.medians(reference)
    for name in attempt.samples:
        medians = attempt.medians(name)
        ms, ratio = centre(medians), centre(ratios(medians, references))
        by_name[name] = Time(
            ms.median, _known(ms.low), _known(ms.high), spread(medians),
            ratio.median, _known(ratio.low), _known(ratio.high),
        )  # fmt: skip
    return by_name


def file_of(folder: Path, machine: Mapping[str, str]) -> Path:
    """The file of a machine; its name is a hash of the machine's description."""
    text = json.dumps(dict(machine), sort_keys=True)
    return folder / f"{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"


def save(speed: Speed, folder: Path) -> Path:
    """Write the file of the machine atomically; it replaces an earlier one."""
    path = file_of(folder, speed.machine)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, msgspec.to_builtins(speed))
    return path


def load(path: Path) -> Speed:
    """Read a file of times.

    Raises:
        SpeedError: the file is not JSON, does not match the schema, or contradicts itself.
    """
    try:
        content = msgspec.json.decode(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise SpeedError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise SpeedError(f"{path}: a JSON object is expected, this is {type(content).__name__}")
    try:
        speed = msgspec.convert(content, Speed)
    except (msgspec.ValidationError, RecursionError):
        problems = check(content, Speed)[1]
    else:
        problems = _contradictions(speed)
    if problems:
        raise SpeedError(f"{path}: not a file of times: " + "; ".join(problems))
    return speed


def load_folder(folder: Path) -> tuple[list[Speed], list[str]]:
    """All files of a folder, the newest first, and one line for each refused file."""
    speeds, refused = [], []
    for path in sorted(folder.glob("*.json")):
        try:
            speeds.append(load(path))
        except SpeedError as error:
            refused.append(str(error))
    return sorted(speeds, key=lambda speed: speed.finished, reverse=True), refused


def _contradictions(speed: Speed) -> list[str]:
    """One line for each part that contradicts the others."""
    if speed.counted >= len(speed.attempts):
        return [f"counted is {speed.counted}, and there are {len(speed.attempts)} attempts"]
    problems, names = [], list(speed.entries)
    for name in (CONTROL, speed.reference):
        if name not in names:
            problems.append(f"entries has no {shown(name)}")
    for number, attempt in enumerate(speed.attempts):
        if sorted(attempt.samples) != sorted(names):
            problems.append(f"attempts[{number}] and entries have other names")
        lengths = {len(samples) for samples in attempt.samples.values()}
        if lengths != {len(attempt.orders)} or len(attempt.orders) < 2:
            problems.append(f"attempts[{number}] has not one sample of every entry in each round")
    if not problems and _differ(speed.times, times(speed.attempts[speed.counted], speed.reference)):
        problems.append(f"times are not those of attempts[{shown(speed.counted)}]")
    return problems


def _differ(some: Mapping[str, Time], others: Mapping[str, Time]) -> bool:
    if some.keys() != others.keys():
        return True
    pairs = zip(_numbers(some), _numbers({name: others[name] for name in some}), strict=True)
    return not all(
        a is b if a is None or b is None else math.isclose(a, b, rel_tol=1e-9) for a, b in pairs
    )


def _numbers(by_name: Mapping[str, Time]) -> Sequence[Any]:
    return [value for time in by_name.values() for value in msgspec.structs.astuple(time)]


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
