"""A study on a machine with four GPUs, and on two machines; the GPUs are simulated."""

import os
import shutil

import pytest

from ablations.records.record import DONE
from ablations.runner import gpus
from ablations.runner.run import run
from ablations.storage.layout import Layout

NAMES = [f"GPU-{letter}" for letter in "abcd"]

NOTE = """
import os as _os
from pathlib import Path as _Path
_folder = _Path("devices")
_folder.mkdir(exist_ok=True)
_own = _folder / f"{cell} {_os.getpid()}"
_seen = sorted(p.read_text() for p in _folder.iterdir() if p.read_text().startswith("busy"))
_own.write_text(f"busy {_os.environ['CUDA_VISIBLE_DEVICES']}")
if f"busy {_os.environ['CUDA_VISIBLE_DEVICES']}" in _seen:
    _Path("shared.txt").write_text(cell)
import atexit as _atexit
_atexit.register(lambda: _own.write_text("free " + _os.environ["CUDA_VISIBLE_DEVICES"]))
"""
"""What the stand-in of train_net.py does first: it notes its GPUs, and whether they are in use."""


@pytest.fixture
def box(workplace, tmp_path, monkeypatch):
    """The workplace on a machine whose nvidia-smi lists four GPUs."""
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    lines = [f"GPU {i}: NVIDIA A100 (UUID: {name})" for i, name in enumerate(NAMES)]
    program.write_text("#!/bin/sh\n" + "\n".join(f"echo '{line}'" for line in lines))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.delenv(gpus.VARIABLE, raising=False)
    monkeypatch.setenv("STEP_SECONDS", "0.1")
    text = workplace.train_net.read_text()
    start = text.index("started = Path(")
    workplace.train_net.write_text(text[:start] + NOTE + text[start:])
    return workplace


def devices(box):
    """Cell -> the GPUs of each of its processes."""
    found = {}
    for path in sorted((box.root / "devices").iterdir()):
        cell, _ = path.name.split()
        found.setdefault(cell, []).append(path.read_text().split()[1])
    return found


@pytest.mark.slow
def test_each_cell_has_one_of_four_gpus_to_itself(box):
    jobs = gpus.default_jobs(1)
    assert jobs == 4
    request = box.request(*(0.1 * n for n in range(1, 8)), jobs=jobs, gpus=1)
    assert run(request) == 0
    assert all(record.status == DONE for record in box.records().values())
    found = devices(box)
    assert len(found) == 7 and {name for names in found.values() for name in names} == set(NAMES)
    assert not (box.root / "shared.txt").exists()


@pytest.mark.slow
def test_a_restarted_cell_keeps_its_gpu(box):
    box.act({0.1: ["killed", "done"]})
    request = box.request(0.1, 0.2, 0.3, 0.4, 0.5, jobs=4, gpus=1)
    assert run(request) == 0
    first, second = devices(box)[box.cell(0.1).id]
    assert first == second


@pytest.mark.slow
def test_two_cells_have_two_gpus_each(box):
    request = box.request(0.1, 0.2, 0.3, jobs=gpus.default_jobs(2), gpus=2)
    assert request.jobs == 2
    assert run(request) == 0
    pairs = {",".join(NAMES[:2]), ",".join(NAMES[2:])}
    assert {name for names in devices(box).values() for name in names} == pairs
    assert not (box.root / "shared.txt").exists()


def test_folders_of_two_machines_are_put_together(workplace):
    """Each machine trains other cells; the copied folders are a study that has nothing to train."""
    there = Layout(workplace.root / "there" / "tiny")
    run(workplace.request(0.5, 0.75, layout=there))
    here = workplace.request(0.25)
    run(here)
    for part in ("records", "cells"):
        source = there.root / part
        shutil.copytree(source, workplace.root / here.layout.root / part, dirs_exist_ok=True)
    started = workplace.started()
    assert run(workplace.request(0.25, 0.5, 0.75)) == 0
    assert workplace.started() == started
    assert len(workplace.records()) == 3
