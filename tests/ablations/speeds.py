"""Made-up times per image, as a measurement leaves them."""

from collections.abc import Callable, Sequence

from ablations.records.speed import (
    BASE,
    CONTROL,
    Attempt,
    Entry,
    Sample,
    Speed,
    name_of,
    times,
)
from ablations.study.cell import Cell, Setting

MACHINE = {"cpu": "Example CPU", "cpus": "2", "gpu": "", "torch": "2.15.0"}


def sample(ms: float | Sequence[float]) -> Sample:
    """A round of two images, or of these times."""
    listed = [ms, ms] if isinstance(ms, float) else list(ms)
    return Sample(
        ms=listed,
        cpu_ms=sum(listed),
        busy_cpus=0.1,
        stolen_cpus=0.0,
        load=0.5,
        clock_mhz=None,
        affinity=[1],
        threads=1,
        device="cpu",
    )


def attempt(rounds: dict[str, Sequence[float]]) -> Attempt:
    """An attempt from the time of each entry in each round."""
    (number,) = {len(values) for values in rounds.values()}
    samples = {name: [sample(value) for value in values] for name, values in rounds.items()}
    return Attempt([list(rounds)] * number, samples)


def speed_of(
    settings: Sequence[Setting],
    rounds: Callable[[Setting], Sequence[float]],
    **changes,
) -> Speed:
    """The times of the architectures of some settings.

    Args:
        settings: the study's.
        rounds: architecture -> its time in each round, ms.
        changes: fields of the record.
    """
    architectures = dict.fromkeys(setting.architecture for setting in settings)
    entries, measured = {}, {}
    for architecture in architectures:
        cell = next(one for one in settings if one.architecture == architecture)
        name = name_of(architecture)
        entries[name] = Entry(architecture.as_dict(), Cell(cell, 1).id, "f0" * 32)
        measured[name] = rounds(architecture)
    reference = BASE if BASE in entries else next(iter(entries))
    entries[CONTROL], measured[CONTROL] = entries[reference], measured[reference]
    made = attempt(measured)
    values = {
        "machine": MACHINE,
        "commit": "0123456789ab",
        "finished": "2025-01-02T03:04:05+00:00",
        "images": 2,
        "warmup_images": 5,
        "seed": 0,
        "entries": entries,
        "reference": reference,
        "attempts": [made],
        "counted": 0,
        "times": times(made, reference),
    }
    return Speed(**values | changes)
