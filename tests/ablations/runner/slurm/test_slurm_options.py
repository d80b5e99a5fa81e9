"""What a study file may ask of the cluster."""

import pytest
from submitit import AutoExecutor
from submitit.slurm.slurm import SlurmExecutor

from ablations.runner.slurm import _parameters
from ablations.study.slurm_options import OPTIONS, problems_of, with_defaults

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


def test_every_option_is_taken():
    assert set(ALL) == set(OPTIONS)
    assert problems_of(ALL) == []
    assert problems_of({}) == []
    assert problems_of({"mem_gb": 1.5, "gpus_per_node": 0}) == []


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"time": 5}, "unknown option time; known: partition, account, "),
        ({"partition": 5}, "partition is 5, not a str"),
        ({"timeout_min": "1h"}, "timeout_min is '1h', not a int"),
        ({"timeout_min": True}, "timeout_min is True, not a int"),
        ({"timeout_min": 0}, "timeout_min is 0; at least 1 is needed"),
        ({"gpus_per_node": -1}, "gpus_per_node is -1; at least 0 is needed"),
        ({"mem_gb": "32GB"}, "mem_gb is '32GB', not a float"),
        ({"mem_gb": 0}, "mem_gb is 0; more than 0 is needed"),
        ({"setup": "module load cuda"}, "setup is 'module load cuda', not a list"),
        ({"setup": ["ls", 3]}, "setup has 3, not a command"),
        ({"additional_parameters": []}, "additional_parameters is [], not a dict"),
    ],
)
def test_what_cannot_be_used_is_named(options, problem):
    (found,) = problems_of(options)
    assert found.startswith(f"slurm: {problem}")


def test_all_mistakes_are_named_at_once():
    assert len(problems_of({"time": 5, "partition": 5, "setup": [1, 2], "mem_gb": -1})) == 5


def test_what_is_said_goes_before_the_defaults():
    defaults = with_defaults({})
    assert problems_of(defaults) == []
    assert with_defaults({"timeout_min": 5}) == defaults | {"timeout_min": 5}
    assert defaults["timeout_min"] != 5


def test_submitit_takes_every_option(tmp_path, monkeypatch):
    monkeypatch.setattr(SlurmExecutor, "affinity", classmethod(lambda cls: 2))
    executor = AutoExecutor(tmp_path, cluster="slurm")
    executor.update_parameters(**_parameters(with_defaults(ALL)))
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
