"""The data of the page's slider for gamma, as compact JSON; ``gamma_slider.js`` draws them.

The script computes FL and FL* at the chosen gamma, their shares over the recorded background
examples of one trained model, and finds the nearest trained cells of the heat maps.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from reports.detections.gallery import Gallery
from reports.figures.losses import (
    BACKGROUND,
    BESIDE,
    GAMMAS,
    HARDEST,
    Distribution,
    compared_gammas,
    distribution,
)
from reports.figures.studies import HEAT_MAPS, cells_of_maps, mark_of
from reports.plots import formulas
from reports.plots.losses import HIGHEST
from reports.results.labels import (
    BASELINE,
    CANDIDATE,
    MAIN_METRIC,
    loss_label,
    one_decimal,
    setting_text,
    short_name,
)
from reports.results.load import Results
from reports.results.states import row_text

STEP = 0.025
"""The slider's step in gamma; the settings of all studies lie on its steps."""


@dataclass(frozen=True)
class GammaSlider:
    """What the template needs.

    Attributes:
        start, highest, step: the values of the slider, from 0.
        model: the model whose examples are shown; "" if no record has a distribution.
        num_examples: the number of its background examples.
        has_trained: whether a heat map has a cell with an AP.
        data: the JSON for a script element.
    """

    start: float
    highest: float
    step: float
    model: str
    num_examples: int
    has_trained: bool
    data: Markup


def gamma_slider(results: Results, shown: Gallery) -> GammaSlider:
    """The slider of a study.

    Args:
        results: the study.
        shown: the pictures in the page.
    """
    maps, crops = cells_of_maps(results), _crops(results, shown)
    trained = {loss: _trained(results, cells, loss, crops) for loss, cells in maps.items()}
    compared = compared_gammas(results)
    known = [cell["gamma"] for cells in trained.values() for cell in cells]
    known += [gamma for _, gamma in {*compared, *BESIDE}]
    at_first = [gamma for loss, gamma in sorted(compared) if loss == BASELINE]
    model = next(filter(None, (distribution(results, loss) for loss in GAMMAS)), None)
    content: dict[str, Any] = {
        "losses": [[loss, loss_label(loss).short] for loss in (BASELINE, CANDIDATE)],
        "saturates_at": formulas.SATURATES_AT,
        "highest": HIGHEST,
        "hardest": HARDEST,
        "examples": None if model is None else _examples(model),
        "figure": HEAT_MAPS,
        "trained": trained,
    }
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return GammaSlider(
        start=next(iter(at_first), dict(BESIDE)[BASELINE]),
        highest=STEP * math.ceil(max(known) / STEP - 1e-9),
        step=STEP,
        model="" if model is None else model.trained_with,
        num_examples=0 if model is None else int(model.histograms[BACKGROUND][1].sum()),
        has_trained=bool(trained),
        # Nothing in a script element is an entity, and only "<" can end it.
        data=Markup(text.replace("<", "\\u003c")),
    )


def _examples(model: Distribution) -> dict[str, Any]:
    """The first logit of p_t, the step to the next one, and the number of examples at each."""
    s, counts = model.histograms[BACKGROUND]
    step = float(np.diff(s).min()) if len(s) > 1 else 1.0
    dense = np.zeros(round((s[-1] - s[0]) / step) + 1, dtype=np.int64)
    dense[np.rint((s - s[0]) / step).astype(int)] = counts
    return {"first": round(float(s[0]), 6), "step": round(step, 6), "counts": dense.tolist()}


def _crops(results: Results, shown: Gallery) -> dict[str, dict[str, Any]]:
    """Setting -> its first panel in the page's pictures: figure, place, seed, picture's title."""
    crops: dict[str, dict[str, Any]] = {}
    lines = results.cells.set_index("cell")
    for picture in shown.pictures:
        for cell, places in picture.panels.items():
            if cell in lines.index:
                line = lines.loc[cell]
                crop = {"figure": picture.name, "title": picture.title, "place": places[0]}
                crops.setdefault(line["setting"], crop | {"seed": int(line["seed"])})
    return crops


def _trained(
    results: Results, cells: pd.DataFrame, loss: str, crops: Mapping[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """Each gamma of a heat map with its alpha of the highest mean AP, by gamma."""
    trained = []
    of_gamma = cells["gamma"].astype(float).fillna(0.0)
    for gamma, of_alphas in cells.groupby(of_gamma, sort=True):
        means = of_alphas.groupby("setting", sort=False)[MAIN_METRIC].mean().dropna()
        if means.empty:
            continue
        runs = of_alphas[of_alphas["setting"] == means.idxmax()]
        loss_of_runs, alpha = runs["loss"].iloc[0], runs["alpha"].iloc[0]
        values = {"loss": loss_of_runs, "alpha": None if pd.isna(alpha) else float(alpha)}
        values |= {"gamma": float(gamma)} if gamma else {}
        trained.append(
            {
                "gamma": float(gamma),
                "name": f"{short_name(values)} ({setting_text(values)})",
                "alphas": len(means),
                "ap": f"{one_decimal(means.max())} {MAIN_METRIC}",
                "state": row_text(runs),
                "mark": mark_of(loss, float(gamma), values["alpha"]),
                "runs": [
                    [int(seed), cell]
                    for seed, cell in zip(runs["seed"], runs["cell"], strict=True)
                    if cell in results.records
                ],
                "crop": crops.get(means.idxmax()),
            }
        )
    return trained
