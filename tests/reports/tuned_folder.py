"""A folder of a small study with tuned rows, filled as a run fills it."""

from dataclasses import replace

import msgspec

from ablations.records.record import load
from ablations.storage.json_files import write_json
from ablations.study.cell import Cell, Setting
from ablations.study.grid import Grid, Row
from ablations.tuning import selection
from tests.reports.analyses import analysis

FRESH = (1001, 1002, 1003)
ALPHAS = (0.25, 0.5, 0.75)
LOSSES = {"FL": "focal", "FL*": "focal_star"}


def setting(method, alpha):
    return Setting.of(loss=LOSSES[method], alpha=alpha, gamma=1.0)


def grids():
    tuning = tuple(
        Grid(
            f"tune_{loss}", f"Tuning {method}", ("alpha",),
            tuple(Row({"alpha": a, "gamma": 1.0}, setting(method, a)) for a in ALPHAS),
            references=(0,) * len(ALPHAS),
        )
        for method, loss in LOSSES.items()
    )  # fmt: skip
    rows = tuple(
        Row({"method": method}, Setting((), f"tune_{loss}"), tune=f"tune_{loss}")
        for method, loss in LOSSES.items()
    )
    return (
        Grid("headline", "The losses", ("method", "alpha", "gamma"), rows, references=(0, 0)),
        *tuning,
    )


def add_halves(folder, cell, selecting, reporting, whole=False):
    """Add what an evaluation on both halves of the images writes."""
    record = load(folder.layout.record(cell.id))
    parts = {}
    for half, ap in (("selection", selecting), ("reporting", reporting)):
        found = analysis(ap, seed=cell.seed)
        found["bootstrap"]["images"] = 20
        metrics = dict.fromkeys(("AP", "AP50", "AP75", "APs", "APm", "APl"), ap)
        full = whole and half == "reporting"
        parts[half] = {
            "images": 20, "metrics": metrics, "per_class_AP": {"0": ap, "1": ap},
            "analysis": found if full else {"bootstrap": found["bootstrap"]},
        }  # fmt: skip
    about = {"version": 1, "cell": cell.id, "fingerprint": record.fingerprint,
             "selection_seed": folder.study.selection_seed, "whole": whole}  # fmt: skip
    folder.layout.halves.mkdir(exist_ok=True)
    write_json(folder.layout.half(cell.id), about | parts)


def choose(folder):
    """Choose as a run does."""
    records = {path.stem: load(path) for path in folder.layout.records.glob("*.json")}
    choices = {
        grid.name: selection.choose(folder.study, grid, folder.layout, records)
        for grid in folder.study.tuning
    }
    keys = {selection.key_of(folder.study, name): one for name, one in choices.items()}
    selection.write(folder.layout, keys)
    return choices


class TunedFolder:
    """A study folder whose cells can be tuned, chosen and judged, one step after the other."""

    def __init__(self, make_folder):
        self.folder = make_folder(1, grids())
        study = replace(self.folder.study, fresh_seeds=FRESH).with_choices({})
        self.folder.study = study
        self.layout = self.folder.layout

    @property
    def study(self):
        return self.folder.study

    def load(self):
        return self.folder.load()

    def tune(self, aps, status="done"):
        """Add the tuning cells; method -> AP on the selection half, one less on the other."""
        for method, values in aps.items():
            for alpha, ap in zip(ALPHAS, values, strict=True):
                self.add(Cell(setting(method, alpha), 1), ap, ap - 1, status=status)

    def add(self, cell, selecting, reporting, whole=False, status="done", on_all=99.0):
        """Add a record, whose AP on all images is ``on_all``, and its halves."""
        self.folder.add(cell, on_all, status=status, analysis=analysis(on_all))
        if status != "done":
            return
        add_halves(self.folder, cell, selecting, reporting, whole)

    def choose(self):
        return choose(self.folder)

    def judge(self, method, alpha, aps, **changes):
        """Add the fresh runs of a setting: AP on the reporting half."""
        for seed, ap in zip(FRESH, aps, strict=True):
            self.add(Cell(setting(method, alpha), seed), 50.0, ap, whole=True, **changes)

    def edit(self, name, **changes):
        """Change a choice in the file."""
        choices = selection.read(self.layout)
        choices[name] = msgspec.structs.replace(choices[name], **changes)
        selection.write(self.layout, choices)


def finished(make_folder):
    """A study in which FL* at alpha 0.75 is 5 AP better than FL at alpha 0.5."""
    made = TunedFolder(make_folder)
    made.folder.describe()
    made.tune({"FL": [28.0, 30.0, 29.0], "FL*": [31.0, 32.0, 33.0]})
    made.choose()
    made.judge("FL", 0.5, [30.0, 30.5, 30.4])
    made.judge("FL*", 0.75, [35.0, 35.4, 35.5])
    return made
