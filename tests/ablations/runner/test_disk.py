"""A full or read-only disk causes a one-line error; nothing is lost, and the run can resume."""

import subprocess
from multiprocessing import forkserver
from pathlib import Path

import pytest

from ablations import __main__ as command
from ablations.records.record import DONE

ROOM = 256 * 1024
"""The size of the disk for the study, bytes."""


@pytest.fixture
def disk(workplace, monkeypatch):
    """The folder ``output`` on a separate small disk."""
    folder = workplace.root / "output"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    monkeypatch.setattr(command, "ROOT", workplace.root)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def call(workplace, monkeypatch, capsys):
    """A function that runs a study of these alphas; it returns the exit code and error lines."""

    def call(*alphas):
        request = workplace.request(*alphas)
        monkeypatch.setattr(command, "load_study", lambda *_: request.study)
        code = command.main(["--study", "tiny", "--jobs", "1", "--retries", "0"])
        return code, capsys.readouterr().err.splitlines()

    return call


def fill(folder: Path) -> Path:
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(512)):
                pass
        except OSError:
            return ballast


def test_full_disk_prints_one_line_and_loses_nothing(workplace, disk, call):
    assert call(0.25) == (0, [])
    before = workplace.records()
    ballast = fill(disk)
    for _ in range(2):
        code, lines = call(0.25, 0.5)
        assert code == 2
        assert len(lines) == 1 and "No space left on device: '" in lines[0]
    assert workplace.records() == before
    ballast.unlink()
    assert call(0.25, 0.5) == (0, [])
    assert workplace.started().count(workplace.cell(0.25).id) == 1
    assert {record.status for record in workplace.records().values()} == {DONE}


def test_disk_fills_up_while_cells_run(workplace, disk, call):
    workplace.act({0.5: "fills the disk"})
    code, lines = call(0.25, 0.5, 0.75)
    assert code == 2
    assert len(lines) == 1 and "No space left on device: '" in lines[0]
    assert set(workplace.records()) == {workplace.cell(0.25).id}, "what was done is kept"
    (disk / "ballast").unlink()
    workplace.act({})
    assert call(0.25, 0.5, 0.75) == (0, [])
    assert sorted(workplace.ended()) == [workplace.cell(a).id for a in (0.25, 0.5, 0.75)]


def test_read_only_disk_prints_one_line_and_loses_nothing(workplace, disk, call):
    assert call(0.25) == (0, [])
    before = workplace.records()
    forkserver._forkserver._stop()  # its log is open there, as it is as long as a run is at work
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    code, lines = call(0.25, 0.5)
    assert code == 2
    assert len(lines) == 1 and "Read-only file system: '" in lines[0]
    assert workplace.records() == before
    # Looking needs no right to write.
    for what in ("plan", "status"):
        assert command.main([what, "--study", "tiny"]) == (what == "status")
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    assert call(0.25, 0.5) == (0, [])
    assert len(workplace.started()) == 2


def test_unwritable_folder_prints_one_line(workplace, call, monkeypatch):
    def refuse(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(command, "ROOT", workplace.root)
    monkeypatch.setattr(Path, "mkdir", refuse)
    assert call(0.25) == (2, ["ablations: [Errno 13] Permission denied: 'output/tiny'"])
