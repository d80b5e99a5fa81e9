"""The table of the time per image of each architecture, and the note about its measurement."""

from ablations.records.speed import (
    CONTROL,
    MAX_BUSY_CPUS,
    MAX_CONTROL_DIFFERENCE,
    MAX_SPREAD_CALM,
    MAX_SPREAD_SHOWN,
    Entry,
    Speed,
    Time,
)
from ablations.study.axes import RETINANET
from reports.results import provenance
from reports.results.labels import METRICS, SPEED, detector_label, setting_text
from reports.results.load import Results
from reports.tables.grids import NOISY_MARK, speed_interval, speed_text
from reports.tables.table import AXIS, NUMBER, TEXT, Column, Table, Tabled, shown
from reports.text.sentences import CI, counted, listed

PADDED_TO = 32
"""Detectron2's FPN pads both edges of its input to multiples of this, px."""

NOT_MEASURED = "The time per image has not been measured; `make speed` measures it."


def architectures(results: Results) -> Tabled:
    """The time of each architecture, also in relation to the one that the control repeats."""
    speed = results.speed
    refused = "".join(f" Not used: {line}." for line in results.speed_refused)
    if speed is None:
        return Tabled(None, NOT_MEASURED + refused)
    names = [name for name in speed.entries if name != CONTROL]
    names.sort(key=lambda name: speed.times[name].ms_per_image)
    names.append(CONTROL)
    times = [speed.times[name] for name in names]
    entries = [speed.entries[name] for name in names]
    labels = [label(results, entry) for entry in entries[:-1]]
    reference = label(results, speed.entries[speed.reference])
    header = METRICS[SPEED].header
    table = Table(
        [
            Column("", "architecture", AXIS, [*labels, f"control: {reference}"]),
            Column(header, "median", NUMBER, shown(map(speed_text, times))),
            Column(header, CI, NUMBER, shown(map(speed_interval, times))),
            Column("ratio", "median", NUMBER, [f"{t.ratio:.3f}" for t in times]),
            Column("ratio", CI, NUMBER, shown(map(ratio_interval, times))),
            Column("", "quartiles apart (%)", NUMBER, [f"{100 * t.spread:.1f}" for t in times]),
            Column("", "checkpoint", TEXT, [entry.cell for entry in entries]),
        ]
    )
    by_reason: dict[str, list[str]] = {}
    for name, why in speed.not_timed.items():
        by_reason.setdefault(why, []).append(name)
    untimed = "".join(f" Not timed ({why}): {listed(some)}." for why, some in by_reason.items())
    return Tabled(
        table,
        f"{note(results)} Ratios to {reference} are medians of the ratios within a round. "
        "Quartiles apart: the interquartile range of the rounds, in percent of the median."
        f"{untimed}{refused}",
    )


def label(results: Results, entry: Entry) -> str:
    """For example ``RetinaNet, depth 34, 128 px``."""
    axes = {"depth": None, "scale": None} | dict(results.study.base) | entry.axes
    known = {axis: value for axis, value in axes.items() if value is not None}
    detector = detector_label(str(known.pop("detector", RETINANET))).name
    return ", ".join(filter(None, (detector, setting_text(known))))


def ratio_interval(time: Time) -> str:
    """For example ``0.994 to 1.006``; "" without an interval."""
    if time.ratio_low is None or time.ratio_high is None:
        return ""
    return f"{time.ratio_low:.3f} to {time.ratio_high:.3f}"


def note(results: Results) -> str:
    """The note on what was timed, on which machine, and how reliable the times are."""
    speed = results.speed
    if speed is None:
        return NOT_MEASURED
    samples = [one for of in speed.attempts[speed.counted].samples.values() for one in of]
    threads = ", ".join(provenance.distinct(sample.threads for sample in samples))
    sentences = [
        f"{METRICS[SPEED].header} is the time of one call of the model, from an image in memory to "
        "its boxes, without reading and resizing the image: the median of "
        f"{counted(speed.rounds, 'round')} of {counted(speed.images, 'image')} after "
        f"{speed.warmup_images} to warm up. It was measured on {speed.device}, "
        f"{threads} thread{'' if threads == '1' else 's'}, after the training runs, while nothing "
        "else of the study was running. Each architecture is timed once, so rows that differ only "
        "in the loss share its time.",
        _padding(results, speed),
        _control(speed),
        _busy(speed),
    ]
    return " ".join(filter(None, sentences))


def hidden_names(results: Results) -> list[str]:
    """The architectures that are not drawn because their rounds do not agree."""
    speed = results.speed
    if speed is None:
        return []
    return [
        label(results, speed.entries[name])
        for name, time in speed.times.items()
        if not time.is_shown and name != CONTROL
    ]


def _padding(results: Results, speed: Speed) -> str:
    """The input scales that take the same time because they are padded alike; "" if none are."""
    base = results.study.base.get("scale") or results.config.get("INPUT.SHORT_EDGE")
    scales = {entry.axes.get("scale") or base for entry in speed.entries.values()}
    edges: dict[int, list[str]] = {}
    for scale in sorted(scale for scale in scales if isinstance(scale, int)):
        edges.setdefault(-(-scale // PADDED_TO) * PADDED_TO, []).append(str(scale))
    alike = [f"{listed(names)} px to {edge} px" for edge, names in edges.items() if names[1:]]
    if not alike:
        return ""
    return (
        f"Inputs are padded to multiples of {PADDED_TO} px, {'; '.join(alike)}, so these scales "
        "take about the same time."
    )


def _control(speed: Speed) -> str:
    time = speed.control
    interval = ratio_interval(time)
    text = (
        f"A control, the same checkpoint in another process, takes {time.ratio:.3f} times as long"
    )
    text += f" ({CI} {interval})." if interval else "."
    if abs(time.ratio - 1) > MAX_CONTROL_DIFFERENCE:
        text += (
            f" This is more than {100 * MAX_CONTROL_DIFFERENCE:g} % from 1, so do not rely on "
            "differences between the times."
        )
    return text


def _busy(speed: Speed) -> str:
    """The load of the machine, and how much the rounds vary; "" for an idle machine."""
    worst, text = max(time.spread for time in speed.times.values()), ""
    if speed.busy_cpus > MAX_BUSY_CPUS:
        text = (
            f"Other processes used {speed.busy_cpus:.1f} processors meanwhile, so the times may be "
            "longer than on an idle machine. "
        )
    if worst <= MAX_SPREAD_CALM:
        return text.strip()
    text += (
        f"The machine was busy: the quartiles of the rounds are up to {100 * worst:.0f} % of the "
        f"median apart after {counted(len(speed.attempts), 'measurement')}."
    )
    if worst > MAX_SPREAD_SHOWN:
        text += (
            f" {NOISY_MARK} marks times with more than {100 * MAX_SPREAD_SHOWN:g} %, which are not "
            "drawn."
        )
    return text
