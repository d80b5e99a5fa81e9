"""The SLURM options in a study's file."""

import msgspec
import pytest
from submitit import AutoExecutor
from submitit.slurm.slurm import SlurmExecutor

from ablations.runner.slurm import _parameters
from ablations.storage.schemas import check
from ablations.study.slurm_options import SlurmOptions

ALL = {
    "partition": "gpu",
    "account": "vision",
    "qos": "long",
    "constraint": "a100",
    "exclude": "node[1-3]",
    "gres": "gpu:2",
    "timeout_min": 240,
    "signal_delay_s": 300,
    "cpus_per_task": 8,
    "gpus_per_node": 2,
    "mem_gb": 32,
    "array_parallelism": 16,
    "setup": ["module load cuda"],
    "additional_parameters": {"mail-type": "END"},
}


class File(msgspec.Struct):
    slurm: SlurmOptions


def problems_of(options):
    return check({"slurm": options}, File)[1]


@pytest.mark.parametrize("options", [ALL, {}, {"mem_gb": 1.5, "gpus_per_node": 0}])
def test_valid_options(options):
    assert problems_of(options) == []
    defaults = SlurmOptions().given()
    assert SlurmOptions(**options).given() == defaults | options
    assert set(ALL) == set(SlurmOptions.__struct_fields__)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"time": 5}, ": unknown key time; known: partition, account, "),
        ({"partition": 5}, ".partition is 5: expected text"),
        ({"timeout_min": "1h"}, ".timeout_min is '1h': expected a whole number"),
        ({"timeout_min": True}, ".timeout_min is True: expected a whole number"),
        ({"timeout_min": 0}, ".timeout_min is 0: expected a whole number >= 1"),
        ({"gpus_per_node": -1}, ".gpus_per_node is -1: expected a whole number >= 0"),
        ({"mem_gb": "32GB"}, ".mem_gb is '32GB': expected a number"),
        ({"mem_gb": 0}, ".mem_gb is 0: expected a number > 0"),
        ({"setup": "module load cuda"}, ".setup is 'module load cuda': expected a list"),
        ({"setup": ["ls", 3]}, ".setup is ['ls', 3]: expected text"),
        ({"additional_parameters": []}, ".additional_parameters is []: expected a mapping"),
    ],
)
def test_each_mistake_is_named(options, problem):
    (found,) = problems_of(options)
    assert found.startswith(f"slurm{problem}")


@pytest.mark.parametrize("end", ["\nrm x", "\rrm x", "\x0brm x", "\u2028rm x", "\n", "\0"])
@pytest.mark.parametrize("option", ["partition", "account", "qos", "constraint", "gres", "exclude"])
def test_no_option_adds_a_line_to_the_sbatch_file(option, end):
    (found,) = problems_of({option: f"main{end}"})
    assert "expected text without spaces and breaks" in found
    assert len(problems_of({"additional_parameters": {f"a{end}": "b", "c": f"d e{end}"}})) == 2
    assert problems_of({"additional_parameters": {"comment": "d e"}}) == []


def test_all_mistakes_are_named_at_once():
    assert len(problems_of({"time": 5, "partition": 5, "setup": [1, 2], "mem_gb": -1})) == 4


def test_submitit_takes_every_option(tmp_path, monkeypatch):
    monkeypatch.setattr(SlurmExecutor, "affinity", classmethod(lambda cls: 2))
    executor = AutoExecutor(tmp_path, cluster="slurm")
    executor.update_parameters(**_parameters(SlurmOptions(**ALL).given()))
    text = executor._executor._make_submission_file_text("run", "id")
    expected = [
        "--partition=gpu", "--account=vision", "--qos=long", "--constraint=a100",
        "--exclude='node[1-3]'", "--gres=gpu:2", "--time=240", "--signal=USR2@300",
        "--cpus-per-task=8", "--gpus-per-node=2", "--mem=32GB", "--mail-type=END", "--nodes=1",
        "--ntasks-per-node=1",
    ]  # fmt: skip
    lines = text.splitlines()
    assert [
        line for line in (f"#SBATCH {option}" for option in expected) if line not in lines
    ] == []
    assert "module load cuda" in lines
    (srun,) = [line for line in lines if line.startswith("srun ")]
    assert "--cpus-per-task=8" in srun
