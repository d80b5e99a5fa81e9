import os

import pytest

from ablations.runner import gpus
from ablations.runner.gpus import Places, TooFewGpus, default_jobs, visible


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """A function that puts an nvidia-smi with this script first on the path."""
    monkeypatch.delenv(gpus.VARIABLE, raising=False)

    def nvidia_smi(script):
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    return nvidia_smi


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("0", ["0"]), ("2,0", ["2", "0"]), (" 1 , 3 ", ["1", "3"]), ("", []), ("-1", []),
        ("0,-1,2", ["0"]), ("GPU-8932f937,GPU-a", ["GPU-8932f937", "GPU-a"]),
    ],
)  # fmt: skip
def test_variable_overrides_nvidia_smi(nvidia_smi, monkeypatch, value, names):
    nvidia_smi("echo GPU-1")
    monkeypatch.setenv(gpus.VARIABLE, value)
    assert visible() == names


def test_without_the_variable_nvidia_smi_is_asked(nvidia_smi):
    nvidia_smi(
        '[ "$1" = -L ] && echo "GPU 0: NVIDIA V100 (UUID: GPU-8a)" && echo "GPU 1: X (UUID: GPU-b)"'
    )
    assert visible() == ["GPU-8a", "GPU-b"]


def test_mig_slices_replace_their_gpu(nvidia_smi):
    lines = [
        "GPU 0: NVIDIA A100 (UUID: GPU-a)",
        "  MIG 3g.20gb Device 0: (UUID: MIG-1)",
        "  MIG 3g.20gb Device 1: (UUID: MIG-2)",
        "GPU 1: NVIDIA A100 (UUID: GPU-b)",
    ]
    nvidia_smi("".join(f"echo '{line}';" for line in lines))
    assert visible() == ["MIG-1", "MIG-2", "GPU-b"]


@pytest.mark.parametrize("script", ["exit 9", "echo no devices >&2; exit 6"])
def test_an_nvidia_smi_that_fails_means_no_gpus(nvidia_smi, script):
    nvidia_smi(script)
    assert visible() == []


def test_no_nvidia_smi_means_no_gpus(monkeypatch, tmp_path):
    monkeypatch.delenv(gpus.VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible() == []


def test_default_jobs_use_all_gpus(monkeypatch):
    monkeypatch.setenv(gpus.VARIABLE, "0,1,2,3,4,5,6,7")
    assert [default_jobs(number) for number in (1, 2, 3, 8)] == [8, 4, 2, 1]
    assert default_jobs(16) == 1, "to be refused where it is run, and planned anywhere"
    assert default_jobs(0) == len(os.sched_getaffinity(0))


def test_each_place_has_its_own_gpus(monkeypatch):
    monkeypatch.setenv(gpus.VARIABLE, "4,5,6,7,8")
    places = Places(jobs=2, gpus=2)
    first, second = places.take(), places.take()
    assert (first, second) == ({gpus.VARIABLE: "4,5"}, {gpus.VARIABLE: "6,7"})
    assert places.take() is None
    places.give_back(first)
    assert places.take() == first


def test_cells_of_one_gpu_take_them_in_turn(monkeypatch):
    monkeypatch.setenv(gpus.VARIABLE, "3,5")
    for number in (0, 1):  # a config that names a GPU is on one where nothing else is said
        places = Places(jobs=3, gpus=number)
        assert [places.take()[gpus.VARIABLE] for _ in range(3)] == ["3", "5", "3"]


def test_gpus_held_by_another_runner_are_waited_for(monkeypatch):
    monkeypatch.setenv(gpus.VARIABLE, "0,1")
    places = Places(jobs=2, gpus=1, held=2)
    assert places.take() is None
    places.give_back(None)
    assert places.take() is None
    places.give_back(None)
    assert places.take() == {gpus.VARIABLE: "0"}


@pytest.mark.parametrize(("jobs", "number"), [(3, 0), (1, 8)])
def test_single_cell_and_cpu_cells_get_no_variable(monkeypatch, jobs, number):
    monkeypatch.setenv(gpus.VARIABLE, "")
    places = Places(jobs, number, held=1)
    assert [places.take() for _ in range(jobs)] == [{}] * jobs
    assert places.take() is None


def test_too_few_gpus_error_has_the_numbers(monkeypatch):
    monkeypatch.setenv(gpus.VARIABLE, "0,1,2")
    with pytest.raises(TooFewGpus, match="2 cells .* 4 GPUs, and there are 3, .*fewer JOBS or"):
        Places(jobs=2, gpus=2)
