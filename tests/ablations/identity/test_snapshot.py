"""A run trains with a copy of the code, which edits of the checkout do not change."""

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ablations.identity import snapshot
from ablations.identity.snapshot import CONFIGS, PACKAGE, TRAIN_NET
from ablations.records.record import DONE, FAILED
from ablations.runner.run import run
from ablations.status import today
from ablations.status.status import status
from ablations.storage.json_files import write_json
from ablations.storage.layout import ROOT, Layout
from ablations.storage.locks import take

LOSS = '@named("ce")\ndef ce(logits):\n    return logits * {}\n'


@pytest.fixture
def layout(workplace):
    return Layout(Path("output/tiny"))


def write_loss(workplace, factor):
    path = workplace.root / PACKAGE / "losses" / "ce.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(LOSS.format(factor))


def losses_text(code):
    return (snapshot.ROOT / code.root / PACKAGE / "losses" / "ce.py").read_text()


def test_an_equal_snapshot_is_used_again(layout, workplace):
    first = snapshot.take(layout)
    inode = os.stat(first.script).st_ino
    again = snapshot.take(layout)
    assert again == first and os.stat(first.script).st_ino == inode
    workplace.train_net.write_text("# edited")
    other = snapshot.take(layout)
    assert other.root != first.root and other.package_sha256 == first.package_sha256
    assert first.script.read_text() != "# edited" == other.script.read_text()
    assert {path.name for path in layout.code.iterdir()} == {first.root.name, other.root.name}


def test_edited_snapshot_is_replaced(layout):
    first = snapshot.take(layout)
    first.script.write_text("# edited")
    assert snapshot.take(layout) == first and first.script.read_text() != "# edited"


def test_compiled_files_are_not_in_the_snapshot(layout, workplace):
    first = snapshot.take(layout)
    for root in (workplace.root, layout.root / "code" / first.root.name):
        (root / PACKAGE / "__pycache__").mkdir()
        (root / PACKAGE / "__pycache__" / "x.pyc").touch()
    assert snapshot.take(layout) == first


def test_full_disk_leaves_no_partial_snapshot(layout, monkeypatch):
    def full(path, _):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space left on device"):
            snapshot.take(layout)
    assert list(layout.code.iterdir()) == []


def test_old_snapshots_are_removed_and_those_in_use_are_not(layout, workplace):
    taken = []
    for number in range(snapshot.MAX_SNAPSHOTS + 3):
        workplace.train_net.write_text(f"# {number}")
        taken.append(snapshot.take(layout))
        os.utime(taken[-1].root, (number, number))
    assert snapshot.is_crowded(layout)
    snapshot.prune(layout, {taken[0].sha256})
    kept = {path.name for path in layout.code.iterdir()}
    assert kept == {code.root.name for code in [taken[0], *taken[-snapshot.MAX_SNAPSHOTS :]]}


def test_training_and_runner_compute_the_same_hash(tmp_path):
    """The real package, and the process that imports it from a snapshot."""
    code = snapshot.take(Layout(tmp_path))
    hashed = "from focal_star.identity import sources; print(sources.SHA256, sources.__file__)"
    ended = subprocess.run(
        [sys.executable, "-c", hashed],
        cwd=ROOT, env=os.environ | code.variables(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    found, file = ended.stdout.split()
    assert found == code.package_sha256 and Path(file).is_relative_to(code.root)


def edit(workplace):
    """Edit all code in the checkout that trains, in a detectable way."""
    write_loss(workplace, 2)
    workplace.train_net.write_text("raise SystemExit('the edited code ran')")
    (workplace.root / CONFIGS / "tiny.yaml").write_text("# edited")


@pytest.mark.parametrize("again", [False, True], ids=["first start", "retry"])
def test_edits_during_a_run_do_not_reach_its_cells(workplace, monkeypatch, again):
    write_loss(workplace, 1)
    workplace.act({0.75: ["killed"]} if again else {})
    request = workplace.request(0.5, 0.75)
    started = workplace.started

    class Edits(run.__globals__["Progress"]):
        def started(self, cell):
            if len(started()) or cell != workplace.cell(0.5).id:
                edit(workplace)
            super().started(cell)

    monkeypatch.setitem(run.__globals__, "Progress", Edits)
    assert run(request) == 0
    records = workplace.records()
    assert {record.status for record in records.values()} == {DONE}
    (loss,) = {record.identity["loss"] for record in records.values()}
    (code,) = {record.run["snapshot_sha256"] for record in records.values()}
    taken = snapshot.find(request.layout, code)
    assert losses_text(taken) == LOSS.format(1)
    assert (
        loss
        == workplace.prepared.identities(request.study.cells(), 1, taken)[workplace.cell(0.5)].loss
    )
    for record in records.values():
        assert TRAIN_NET in record.command and "/code/" not in record.command


def test_edited_loss_is_trained_and_restored_loss_is_not(workplace):
    request = workplace.request(0.5)
    write_loss(workplace, 1)
    assert run(request) == 0
    before = workplace.records()
    write_loss(workplace, 2)
    assert run(request) == 0
    assert workplace.records() != before and len(workplace.started()) == 2
    write_loss(workplace, 1)
    # Looking shows what the next run will find, and moves nothing.
    identities = workplace.prepared.identities(request.study.cells())
    assert status(request.study, request.layout, identities).is_complete
    assert workplace.records() != before
    assert run(request) == 0
    assert workplace.records() == before and len(workplace.started()) == 2


def test_a_run_keeps_its_snapshot_after_the_clock_went_back(workplace):
    request, original = workplace.request(0.5), workplace.train_net.read_text()
    for number in range(snapshot.MAX_SNAPSHOTS):
        workplace.train_net.write_text(f"{original}# {number}\n")
        tomorrow = time.time() + 86_400
        os.utime(snapshot.take(request.layout).root, (tomorrow, tomorrow))
    workplace.train_net.write_text(original)
    assert run(request) == 0
    (record,) = workplace.records().values()
    assert snapshot.find(request.layout, record.run["snapshot_sha256"])


def test_a_process_that_imports_another_package_fails(workplace):
    """Another ``focal_star`` comes before the snapshot in the import path."""
    other = "import sys; sys.modules['focal_star.identity.sources'].SHA256 = 'af' * 32\n"
    text = workplace.train_net.read_text()
    marker = "from focal_star.identity import sources\n"
    workplace.train_net.write_text(text.replace(marker, marker + other))
    assert run(workplace.request(0.5)) == 1
    record = workplace.records()[workplace.cell(0.5).id]
    assert record.status == FAILED and "other sources of focal_star (afafaf" in record.error


def test_during_a_run_records_are_compared_with_its_snapshot(workplace, layout):
    write_loss(workplace, 1)
    code = snapshot.take(layout)
    write_json(layout.study, {"snapshot_sha256": code.sha256, "processes": 4})
    write_loss(workplace, 2)
    assert losses_text(today.code(layout)) == LOSS.format(2)
    with take(layout.lock):
        assert losses_text(today.code(layout)) == LOSS.format(1)
    assert today.processes(layout, workplace.request(0.5).study) == 4


@pytest.mark.parametrize("text", [None, "", "[]", '{"processes": "4"}', '{"processes": -1}'])
def test_before_the_first_run_the_study_gives_the_number_of_processes(workplace, layout, text):
    if text is not None:
        layout.root.mkdir(parents=True)
        layout.study.write_text(text)
    study = workplace.request(0.5).study
    assert today.processes(layout, study) == 1
    assert json.loads(json.dumps(today.asked(layout))) == today.asked(layout)


def test_a_helper_package_of_a_loss_is_in_the_snapshot(layout, workplace):
    name = f"{PACKAGE.parent.as_posix()}/curves/table.py"
    (workplace.root / name).parent.mkdir()
    (workplace.root / name).write_text("K = 2")
    assert (snapshot.ROOT / snapshot.take(layout).root / name).read_text() == "K = 2"
