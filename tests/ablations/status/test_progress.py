import io
import json
from types import SimpleNamespace

import pytest
from rich.console import Console

from ablations.status import progress as progress_module
from ablations.status.progress import REFRESH_SECONDS, Progress, last_line, outcome
from ablations.status.running_cells import last_lines
from ablations.status.units import duration
from ablations.storage.layout import Layout


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=1000.0)
    fake = SimpleNamespace(monotonic=lambda: clock.now)
    monkeypatch.setattr(progress_module, "time", fake)
    return clock


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path)


@pytest.fixture
def metrics(layout):
    """A function that writes Detectron2's metrics.json of a cell, line by line."""

    def write(cell, *lines):
        layout.cell(cell).mkdir(parents=True, exist_ok=True)
        texts = [line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines]
        (layout.cell(cell) / "metrics.json").write_text("".join(texts), encoding="utf-8")

    return write


def plain(layout, num_cells, jobs=2):
    return Progress(layout, num_cells, jobs, Console(file=io.StringIO()))


def printed(progress):
    return progress._console.file.getvalue()


def test_plain_lines_without_a_terminal(layout, clock, make_record):
    name = "focal_star-alpha0.25-gamma0.125-with-a-name-far-longer-than-the-eighty-columns-seed1"
    with plain(layout, 3) as progress:
        for cell in (name, "b"):
            progress.started(cell)
        progress.update()
        assert printed(progress) == "", "nothing is drawn while cells run"
        clock.now += 30
        progress.ended(make_record(cell=name), 30.0)
        progress.started("[c]")
        clock.now += 10
        progress.ended(make_record(cell="b", status="failed"), 40.0)
        clock.now += 20
        progress.ended(make_record(cell="[c]"), 30.0)
    # 30 s each: b has had 30 of them and c starts, so 30 s / 2 slots; then the mean is 35 s, of
    # which c has had 10.
    assert printed(progress).splitlines() == [
        f"[1/3] {name}: AP 21.2, 30 s; about 15 s left",
        "[2/3] b: failed, 40 s; about 25 s left",
        "[3/3] [c]: AP 21.2, 30 s",
    ]
    assert "\x1b" not in printed(progress)


def test_a_failed_cell_says_why(layout, clock, make_record):
    error = "the process ended with exit code 2:\nsome line\ntrain_net.py: error: [LOSS] is 'x'\n"
    with plain(layout, 1) as progress:
        progress.started("a")
        progress.ended(make_record(cell="a", status="failed", error=error), 1.0)
    (_, reason) = printed(progress).splitlines()
    assert reason == ("  the process ended with exit code 2: train_net.py: error: [LOSS] is 'x'")


def test_nothing_is_estimated_before_anything_is_known(layout, clock):
    progress = plain(layout, 4)
    assert progress.seconds_left() is None
    progress.started("a")
    clock.now += 5
    assert progress.seconds_left() is None


def test_before_the_first_cell_ends_its_own_estimate_counts(layout, clock, metrics):
    progress = plain(layout, 4, jobs=2)
    progress.started("a")
    progress.started("b")
    clock.now += 10
    metrics("a", {"iteration": 19, "eta_seconds": 30.0})
    # A cell takes 10 + 30 = 40 s. a and b have 30 s each before them, two more wait:
    # (30 + 30 + 2 * 40) / 2
    assert progress.seconds_left() == pytest.approx(70)
    metrics("b", {"iteration": 19, "eta_seconds": 10.0})
    # The mean of 40 s and 20 s is 30 s: (20 + 20 + 2 * 30) / 2
    assert progress.seconds_left() == pytest.approx(50)


def test_ended_cells_give_the_estimate(layout, clock, make_record, metrics):
    progress = plain(layout, 5, jobs=2)
    metrics("c", {"iteration": 0, "eta_seconds": 9999.0})
    for cell in "abc":
        progress.started(cell)
    progress.ended(make_record(cell="a"), 20.0)
    progress.ended(make_record(cell="b"), 40.0)
    progress.started("d")
    clock.now += 12
    # 30 s a cell: c and d have 18 s each before them, one waits: (18 + 18 + 30) / 2
    assert progress.seconds_left() == pytest.approx(33)
    clock.now += 100
    metrics("c", {"iteration": 0, "eta_seconds": 6.0})
    # Over its time c has what Detectron2 says, and d, which said nothing, 0 s: (6 + 0 + 30) / 2
    assert progress.seconds_left() == pytest.approx(18)


def test_time_left_covers_the_running_cells(layout, clock, make_record):
    progress = plain(layout, 2, jobs=2)
    progress.started("a")
    progress.ended(make_record(cell="a"), 30.0)
    progress.started("b")
    clock.now += 10
    assert progress.seconds_left() == pytest.approx(20)
    progress.ended(make_record(cell="b"), 30.0)
    assert progress.seconds_left() == 0


@pytest.fixture
def terminal(layout):
    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    return Progress(layout, 2, 2, console)


def test_a_terminal_shows_the_running_cells(terminal, clock, metrics):
    with terminal as progress:
        progress.started("ce-alpha0.5-seed1")
        progress.started("b")
        metrics("b", {"iteration": 19, "loss_cls": 1.5}, {"iteration": 39, "loss_cls": 0.12345})
        clock.now += 65
        progress.update()
        shown = printed(progress)
        assert "0 of 2 cells ended, estimating the time left" in shown
        lines = shown.splitlines()
        first, second = (next(x for x in lines if name in x) for name in ("ce-alpha0.5", "b  "))
        assert first.split() == ["ce-alpha0.5-seed1", "starting", "1", "min", "05", "s"]
        assert second.split() == ["b", "39", "0.123", "1", "min", "05", "s"]


def test_a_terminal_is_drawn_at_most_once_a_second(terminal, clock):
    with terminal as progress:
        progress.started("a")
        progress.update()
        drawn = printed(progress)
        clock.now += REFRESH_SECONDS / 2
        progress.update()
        assert printed(progress) == drawn
        clock.now += REFRESH_SECONDS / 2
        progress.update()
        assert len(printed(progress)) > len(drawn)


@pytest.mark.parametrize("last", ['{"iteration": 59, "loss', ""])
def test_incomplete_line_is_ignored(layout, metrics, last):
    metrics("a", {"iteration": 19}, {"iteration": 39}, last)
    assert last_line(layout.cell("a") / "metrics.json") == {"iteration": 39}


def test_only_the_end_of_a_long_file_is_read(layout, metrics):
    path = layout.cell("a") / "metrics.json"
    metrics("a", *({"iteration": number} for number in range(1000)))
    assert last_lines(path, size=50)[-1] == {"iteration": 999}


@pytest.mark.parametrize("lines", [[], ["garbage\n"], ["\xff\n"], ["{"]])
def test_file_without_a_complete_line_gives_nothing(layout, metrics, lines):
    assert last_line(layout.cell("a") / "metrics.json") == {}
    metrics("a", *lines)
    assert last_line(layout.cell("a") / "metrics.json") == {}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (0.4, "0 s"), (38.2, "38 s"), (59.4, "59 s"), (59.6, "1 min 00 s"),
        (60, "1 min 00 s"), (245, "4 min 05 s"), (3600, "60 min 00 s"),
        (7199, "119 min 59 s"), (7200, "2 h 00 min"), (12_300, "3 h 25 min"),
        (48 * 3600 - 60, "47 h 59 min"), (48 * 3600, "2 d 00 h"), (100 * 3600, "4 d 04 h"),
    ],
)  # fmt: skip
def test_duration(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"result": {"metrics": {"AP": 21.36}}}, "AP 21.4"),
        ({"result": {"metrics": {"AP": 0}}}, "AP 0.0"),
        ({"result": {"metrics": {"AP": None}}}, "AP undefined"),
        ({"status": "diverged", "result": {"error_iteration": 12}}, "diverged at iteration 12"),
        ({"status": "diverged", "result": {}}, "diverged"),
        ({"status": "failed", "result": {}}, "failed"),
    ],
)
def test_outcome(make_record, changes, text):
    assert outcome(make_record(**changes)) == text
