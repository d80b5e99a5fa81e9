"""The losses over p_t, and the cumulative loss of trained models."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from typing import Any

import numpy as np

from ablations.records.record import Record
from reports.figures.illustration import Illustrated, drawn
from reports.figures.recorded_losses import RecordedLoss, recorded_losses
from reports.plots import formulas
from reports.plots.losses import Line, loss_over_p_t, loss_share_over_examples
from reports.results import provenance
from reports.results.labels import LOSSES, loss_label, setting_text
from reports.results.load import Results
from reports.statistics.contenders import contenders, value_at
from reports.text.sentences import counted, listed

GAMMAS = {"focal": (0.0, 0.5, 1.0, 2.0), "focal_star": (0.0, 0.125, 0.25, 0.5, 1.0)}
"""Loss -> the gammas whose cumulative loss is drawn; those of FL as in the paper's figure 4."""

DASHES: tuple[str | tuple, ...] = (
    "-",
    (0, (5, 2)),
    (0, (1, 1)),
    (0, (3, 1, 1, 1)),
    (0, (7, 1.5, 1, 1.5, 1, 1.5)),
)
"""The dashes that distinguish the lines of one loss."""

BESIDE = (("focal", 2.0), ("focal_star", 0.5), ("focal_appendix", 2.0))
"""Loss and gamma that are drawn beside the compared settings: the paper's FL, a steep FL*, and the
function that the paper's appendix also writes FL*.
"""

BACKGROUND = "background"
KINDS = "foreground", BACKGROUND
LABEL_OF = {"foreground": "positive", BACKGROUND: "negative"}
"""Kind of an example -> its label."""

HARDEST = 0.001
"""The share of the background examples whose share of the loss a caption gives."""

_Histograms = Mapping[str, tuple[np.ndarray, np.ndarray]]

POINTS = 400
"""The approximate maximum number of points of a line."""


@dataclass(frozen=True)
class Distribution:
    """Where the examples of a trained model are.

    Attributes:
        name: the compared setting, for example ``FL``.
        record: the run.
        histograms: kind -> the centres of the bins of logit(p_t) and the counts.
    """

    name: str
    record: Record
    histograms: _Histograms

    @property
    def trained_with(self) -> str:
        """For example ``FL (α = 0.5, γ = 1), seed 1``."""
        setting = setting_text(self.record.setting)
        is_named = all(part in self.name for part in setting.split(", "))
        shown = "" if is_named else f" ({setting})"
        return f"{self.name}{shown}, seed {self.record.seed}"


def loss_over_p_t_figure(results: Results) -> Illustrated:
    """CE, FL and FL* with alpha_t = 1 at the compared gammas, the functions of ``BESIDE``, and the
    losses that have only a record."""
    with_formula = [("ce", None), *sorted({*compared_gammas(results), *BESIDE}, key=_order)]
    recorded = recorded_losses(results)
    p_t = np.linspace(0.002, 0.999, 250)
    lines, number = [], Counter[str]()
    for loss, label, values in (
        *_curves_by_formula(with_formula, p_t),
        *_curves_by_record(recorded, p_t),
    ):
        colour = loss_label(loss).colour
        lines.append(Line(label, p_t, values, colour, DASHES[number[colour] % len(DASHES)]))
        number[colour] += 1
    names = ", ".join(
        f"{LOSSES[name].short}: {LOSSES[name].long}"
        for name in dict.fromkeys(name for name, _ in with_formula)
        if LOSSES[name].short not in LOSSES[name].long
    )
    shorts = list(dict.fromkeys(loss.short for loss in recorded))
    from_records = f" {listed(shorts)}: as recorded in training." if shorts else ""
    return Illustrated(
        drawn(
            "loss_over_p_t",
            "Loss over p_t, the probability given to the true label, for "
            + "; ".join(line.label for line in lines)
            + ". FL* is above CE for p_t < 0.5 and below CE for p_t > 0.5, the more so the larger "
            "γ; FL is below CE everywhere.",
            loss_over_p_t,
            lines,
        ),
        "Loss against pₜ for αₜ = 1, after figure 4 of Zheng and Li (2023), at the γ of the "
        f"compared settings and others. {names}.{from_records}",
    )


_Curve = tuple[str, str, np.ndarray]
"""A loss, the label of a line, and the loss at each p_t."""


def _curves_by_formula(
    losses: Iterable[tuple[str, float | None]], p_t: np.ndarray
) -> Iterator[_Curve]:
    for loss, gamma in losses:
        parts = [LOSSES[loss].short]
        parts += [] if gamma is None else [setting_text({"gamma": gamma})]
        parts += ["β = 1"] if loss == "focal_appendix" else []
        yield loss, ", ".join(parts), formulas.LOSSES[loss](p_t, gamma)


def _curves_by_record(losses: Iterable[RecordedLoss], p_t: np.ndarray) -> Iterator[_Curve]:
    """One curve for each loss, or one for each kind of examples if they differ."""
    s = np.log(p_t / (1 - p_t))
    for loss in losses:
        kinds = {"": LABEL_OF[BACKGROUND]} if loss.is_symmetric else LABEL_OF
        for kind, label in kinds.items():
            name = ", ".join(filter(None, (loss.label, kind)))
            yield loss.name, name, loss.of_logit(s, label)


def compared_gammas(results: Results) -> set[tuple[str, float]]:
    """The losses and gammas of the compared settings that have a formula here."""
    settings = [record.setting for one in contenders(results) for record in one.records[:1]]
    pairs = [(str(values.get("loss")), values.get("gamma")) for values in settings]
    return {
        (loss, float(gamma))
        for loss, gamma in pairs
        if loss in GAMMAS and isinstance(gamma, int | float)
    }


def _order(pair: tuple[str, float]) -> tuple[int, float]:
    return list(LOSSES).index(pair[0]), pair[1]


def cumulative_loss_figures(results: Results) -> list[Illustrated]:
    """The paper's figure 4 for the models that FL, FL* and the losses with only a record trained.

    For each model: the share of FL and of FL* at several gammas, and of each other loss at the
    gamma of its training, that the easiest foreground and background examples contribute.
    """
    recorded = recorded_losses(results)
    names = dict.fromkeys([*GAMMAS, *(loss.name for loss in recorded)])
    of_losses = {loss: distribution(results, loss) for loss in names}
    figures = [
        _of_model(results, loss, model, recorded)
        for loss, model in of_losses.items()
        if model is not None
    ]
    return figures or [
        Illustrated(None, "No record has the distribution of the loss over the examples.")
    ]


def distribution(results: Results, loss: str) -> Distribution | None:
    """That of the first seed of the compared setting of this loss that has one."""
    return next(
        (
            Distribution(contender.name, record, histograms)
            for contender in contenders(results)
            for record in sorted(contender.records, key=lambda record: record.seed)
            if record.setting.get("loss") == loss
            and (histograms := _histograms(record)) is not None
        ),
        None,
    )


@dataclass(frozen=True)
class _Shape:
    """A function whose cumulative loss is drawn.

    Attributes:
        label: the text in the legend.
        colour: the colour of its line.
        of_kind: kind of the examples -> the loss of s.
    """

    label: str
    colour: str
    of_kind: Mapping[str, Callable[[np.ndarray], np.ndarray]]


def _shapes(recorded: Sequence[RecordedLoss]) -> dict[str, list[_Shape]]:
    """Title of a row of panels -> what is drawn there."""
    shapes: dict[str, list[_Shape]] = {}
    for name, gammas in GAMMAS.items():
        for gamma in gammas:
            label = setting_text({"gamma": gamma}) + (" (CE)" if gamma == 0 else "")
            colour = loss_label("ce" if gamma == 0 else name).colour
            of_kind = dict.fromkeys(KINDS, partial(formulas.OF_LOGIT[name], gamma=gamma))
            shapes.setdefault(loss_label(name).short, []).append(_Shape(label, colour, of_kind))
    for loss in recorded:
        of_kind = {kind: partial(loss.of_logit, label=label) for kind, label in LABEL_OF.items()}
        shape = _Shape(loss.options or loss.short, loss_label(loss.name).colour, of_kind)
        shapes.setdefault(loss.short, []).append(shape)
    return shapes


def _of_model(
    results: Results, trained_with: str, model: Distribution, recorded: Sequence[RecordedLoss]
) -> Illustrated:
    record, histograms = model.record, model.histograms
    rows: dict[str, dict[str, list[Line]]] = {}
    hardest: dict[str, list[str]] = {}
    for title, shapes in _shapes(recorded).items():
        rows[title] = {kind: [] for kind in KINDS}
        for kind in KINDS:
            for shape, dashes in zip(shapes, cycle(DASHES), strict=False):
                x, y = formulas.cumulative_shares(*histograms[kind], shape.of_kind[kind])
                rows[title][kind].append(Line(shape.label, *_thinned(x, y), shape.colour, dashes))
                if kind == BACKGROUND and len(x):
                    share = 100 * (1 - np.interp(1 - HARDEST, x, y))
                    text = f"{share:.1f} %" if share < 99.95 else "over 99.9 %"
                    hardest.setdefault(title, []).append(f"{shape.label}: {text}")
    numbers = {kind: int(histograms[kind][1].sum()) for kind in KINDS}
    of_hardest = (
        f"Share of the loss that the hardest {100 * HARDEST:g} % of the background examples carry: "
        f"{_listed(hardest)}"
    )
    return Illustrated(
        drawn(
            f"cumulative_loss_{trained_with}",
            f"Cumulative loss over the examples. {of_hardest}.",
            loss_share_over_examples,
            rows,
            (BACKGROUND,),
        ),
        "Cumulative share of each loss, without α, for the model trained with "
        f"{model.trained_with}: {numbers['foreground']:,} foreground and "
        f"{numbers['background']:,} background examples (an anchor with one category)"
        f"{_of_images(record)}. All losses are computed on these examples, after training. Like "
        "figure 4 of the focal loss paper, but the background starts with the hardest examples, on "
        "a logarithmic scale. "
        f"{provenance.caption(results, [record])}.",
    )


def _of_images(record: Record) -> str:
    """For example `` of 128 validation images``; "" if the number is unknown."""
    images = value_at(record, "loss_distribution", "images")
    return f" of {counted(images, 'validation image')}" if isinstance(images, int) else ""


def _listed(shares: Mapping[str, list[str]]) -> str:
    return "; ".join(f"{name}: {', '.join(values)}" for name, values in shares.items())


def _histograms(record: Record) -> _Histograms | None:
    """Kind -> the centres of the bins of logit(p_t) and the counts; None if a kind is empty."""
    entry = value_at(record, "loss_distribution")
    if not isinstance(entry, dict):
        return None
    try:
        histograms = {kind: _histogram(entry, kind) for kind in KINDS}
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return histograms if all(counts.sum() > 0 for _, counts in histograms.values()) else None


def _histogram(entry: Mapping[str, Any], kind: str) -> tuple[np.ndarray, np.ndarray]:
    bins, counts = (np.asarray(entry[kind][key], dtype=np.int64) for key in ("bins", "counts"))
    if bins.shape != counts.shape:
        raise ValueError(f"{bins.shape} bins of {counts.shape} counts")
    width = (entry["high"] - entry["low"]) / entry["num_bins"]
    return entry["low"] + (bins + 0.5) * width, counts


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The points without those that are too close to their predecessor to be seen."""
    if not len(x):  # there is no loss to share
        return x, y
    steps = np.floor((x + y) * POINTS / 2)
    apart = np.concatenate([[True], steps[1:] > steps[:-1]])
    apart[-1] = True
    return x[apart], y[apart]
