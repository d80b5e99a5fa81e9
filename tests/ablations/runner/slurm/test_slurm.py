"""The submitter, with a fake cluster."""

import json
from dataclasses import replace

import msgspec
import pytest

from ablations.records.record import DONE, FAILED, save
from ablations.runner import slurm, slurm_arrays
from ablations.runner.request import RunError
from ablations.runner.run import run
from ablations.study.slurm_options import SlurmOptions
from tests.ablations.runner.slurm.fake import Death, FakeSlurm


@pytest.fixture
def fake_slurm(workplace, monkeypatch):
    """The cluster of the workplace."""
    fake = FakeSlurm()
    monkeypatch.setattr(slurm_arrays, "_call", fake.call)
    monkeypatch.setattr(slurm_arrays, "AutoExecutor", fake.executor)
    monkeypatch.setattr(slurm, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(slurm, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(slurm, "SETTLE_SECONDS", 0.005)
    monkeypatch.setattr(slurm_arrays, "LOOK_SECONDS", 0.001)
    return fake


@pytest.fixture
def request_(workplace, fake_slurm):
    return workplace.request(0.25, 0.5, 0.75, engine="slurm")


def ids(request):
    return [cell.id for cell in request.study.cells()]


def in_file(request):
    path = request.layout.slurm / "arrays.json"
    return [list(array["cells"]) for array in json.loads(path.read_text())]


@pytest.fixture
def died(request_, fake_slurm):
    """A function: a submitter submits cells, looks at them, and dies; the cells continue."""

    def die(does, looks=1):
        fake_slurm.does = does
        fake_slurm.answers = [None] * looks + [Death()]
        with pytest.raises(Death):
            run(request_)
        fake_slurm.does, fake_slurm.answers, fake_slurm.dies_at = {}, [], None

    return die


def test_cells_are_submitted_as_one_array(workplace, fake_slurm, request_):
    assert run(request_) == 0
    assert fake_slurm.submitted == [ids(request_)]
    assert {record.status for record in workplace.records().values()} == {DONE}
    assert set(workplace.records()) == set(ids(request_))
    assert fake_slurm.commands == []


def test_done_cells_are_not_submitted(workplace, fake_slurm, request_):
    assert run(workplace.request(0.5)) == 0
    assert run(request_) == 0
    assert fake_slurm.submitted == [[ids(request_)[0], ids(request_)[2]]]
    assert run(request_) == 0
    assert len(fake_slurm.submitted) == 1


def test_study_options_reach_the_task(workplace, fake_slurm, request_):
    options = {"cpus_per_task": 6, "gpus_per_node": 2, "partition": "gpu"}
    request = replace(request_, study=replace(request_.study, slurm=SlurmOptions(**options)))
    assert run(request) == 0
    assert fake_slurm.parameters.items() >= {
        "cpus_per_task": 6, "gpus_per_node": 2, "slurm_partition": "gpu", "nodes": 1,
    }.items()  # fmt: skip
    for record in workplace.records().values():
        # Each of the two processes has its half.
        assert record.command.startswith("OMP_NUM_THREADS=3 python ")
        assert "--num-gpus 2" in record.command


def test_gpus_of_the_command_override_the_study(workplace, fake_slurm, request_):
    study = replace(request_.study, slurm=SlurmOptions(gpus_per_node=2))
    assert run(replace(request_, study=study, gpus=4)) == 0
    assert fake_slurm.parameters["gpus_per_node"] == 4
    for record in workplace.records().values():
        assert "--num-gpus 4" in record.command and "--num-gpus 2" not in record.command


@pytest.mark.parametrize("state", ["CANCELLED", "NODE_FAIL", "OUT_OF_MEMORY", "COMPLETED"])
def test_a_lost_task_is_submitted_again(workplace, fake_slurm, request_, state, capsys):
    lost = ids(request_)[1]
    fake_slurm.does = {lost: [state, state]}
    assert run(request_) == 0
    assert fake_slurm.submitted == [ids(request_), [lost], [lost]]
    assert workplace.records()[lost].status == DONE
    assert f"{lost}: its process died, restarted (2 so far)" in capsys.readouterr().out


def test_lost_task_is_resubmitted_at_most_retries_times(workplace, fake_slurm, request_):
    lost = ids(request_)[1]
    fake_slurm.does = {lost: ["OUT_OF_MEMORY"] * 10}
    log = request_.layout.cell_log(lost)
    log.parent.mkdir(parents=True)
    log.write_text("a line\nslurmstepd: error: killed\n")
    assert run(request_) == 1
    assert fake_slurm.submitted == [ids(request_)] + [[lost]] * request_.retries
    records = workplace.records()
    assert [records[cell].status for cell in ids(request_)] == [DONE, FAILED, DONE]
    first, *rest = records[lost].error.splitlines()
    # An array of one cell is a plain job: it has no index.
    assert first == "SLURM's task 3 ended as OUT_OF_MEMORY, exit code 9, without a result:"
    assert rest[-1] == "slurmstepd: error: killed"


def test_preemption_is_not_a_failed_attempt(workplace, fake_slurm, request_):
    lost = ids(request_)[1]
    fake_slurm.does = {lost: ["PREEMPTED"] * 3}
    assert run(replace(request_, retries=0)) == 0
    assert len(fake_slurm.submitted) == 4
    assert workplace.records()[lost].status == DONE


def test_unlisted_task_counts_as_lost(fake_slurm, request_, monkeypatch):
    lost = ids(request_)[1]
    fake_slurm.does = {lost: ["RUNNING"]}

    def call(*command):
        lines = fake_slurm.call(*command).splitlines(keepends=True)
        if len(fake_slurm.submitted) > 1:
            fake_slurm.does = {}
        return "".join(line for line in lines if line.split()[1:3] != ["1", "1"])

    monkeypatch.setattr(slurm_arrays, "_call", call)
    assert run(request_) == 0
    assert fake_slurm.submitted == [ids(request_), [lost]]


def test_a_lost_task_whose_process_still_trains_is_waited_for(
    workplace, fake_slurm, request_, monkeypatch
):
    lost, looks = ids(request_)[1], []
    fake_slurm.does = {lost: ["NODE_FAIL"]}

    def is_running(layout, cell):
        looks.append(cell)
        return len(looks) < 20

    monkeypatch.setattr(slurm, "is_running", is_running)
    assert run(request_) == 0
    assert fake_slurm.submitted == [ids(request_), [lost]]
    assert set(looks) == {lost} and len(looks) > 20


def test_earlier_failure_is_not_the_result(workplace, fake_slurm, request_):
    cell = ids(request_)[1]
    fake_slurm.does = {cell: ["TIMEOUT"] * 3}
    assert run(request_) == 1
    assert workplace.records()[cell].status == FAILED
    fake_slurm.does = {}
    assert run(request_) == 0
    assert workplace.records()[cell].status == DONE


def test_stale_record_is_kept_until_the_new_one_exists(workplace, fake_slurm, request_):
    assert run(request_) == 0
    cell = ids(request_)[1]
    path = request_.layout.record(cell)
    save(msgspec.structs.replace(workplace.records()[cell], fingerprint="0" * 64), path)
    fake_slurm.does = {cell: ["RUNNING"]}
    fake_slurm.answers = [None, None, KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        run(request_)
    assert workplace.records()[cell].fingerprint == "0" * 64
    fake_slurm.does = {}
    assert run(request_) == 0
    assert workplace.records()[cell].fingerprint != "0" * 64


def test_ctrl_c_cancels_the_array(workplace, fake_slurm, request_):
    fake_slurm.does = {cell: ["RUNNING"] for cell in ids(request_)[1:]}
    fake_slurm.answers = [None] * 5 + [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        run(request_)
    assert fake_slurm.commands == [["scancel", "1"]]
    assert set(workplace.records()) == {ids(request_)[0]}
    fake_slurm.does = {}
    assert run(request_) == 0
    assert fake_slurm.submitted == [ids(request_), ids(request_)[1:]]


@pytest.mark.parametrize("looks", [1, 4])
def test_an_array_whose_submitter_died_is_waited_for(workplace, fake_slurm, request_, died, looks):
    died({cell: ["RUNNING"] for cell in ids(request_)})
    fake_slurm.pauses = looks
    assert run(request_) == 0
    assert fake_slurm.submitted == [ids(request_)], "once"
    assert set(workplace.records()) == set(ids(request_))
    assert fake_slurm.commands == []


def test_submitter_dies_before_it_knows_the_job_id(fake_slurm, request_, died):
    fake_slurm.dies_at = 2
    died({cell: ["RUNNING"] for cell in ids(request_)})
    fake_slurm.pauses = 2
    assert run(request_) == 0
    assert fake_slurm.submitted == [ids(request_)]


def test_array_of_a_dead_submitter_can_be_cancelled(fake_slurm, request_, died):
    fake_slurm.dies_at = 2
    died({})
    fake_slurm.does = {cell: ["RUNNING"] for cell in ids(request_)}
    fake_slurm.answers = [None, None, KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        run(request_)
    assert fake_slurm.commands == [["scancel", "1"]]


def test_only_cells_outside_the_old_array_are_submitted(workplace, fake_slurm, request_, died):
    died({ids(request_)[0]: ["CANCELLED"], ids(request_)[1]: ["RUNNING"]}, looks=2)
    more = workplace.request(0.25, 0.5, 0.75, 0.9, engine="slurm")
    assert run(more) == 0
    assert fake_slurm.submitted == [ids(request_), [ids(request_)[0], ids(more)[3]]]


def test_outdated_array_is_cancelled(workplace, fake_slurm, request_, died, capsys):
    died({cell: ["RUNNING"] for cell in ids(request_)})
    workplace.prepared = replace(workplace.prepared, dataset={"name": "digits", "sha256": "other"})
    fake_slurm.pauses = 1
    assert run(request_) == 0
    assert fake_slurm.commands == [["scancel", "1_0", "1_1", "1_2"]]
    assert fake_slurm.submitted == [ids(request_)] * 2
    assert "started again" not in capsys.readouterr().out, "it costs no retry"


def test_ended_arrays_are_removed(workplace, fake_slurm, request_):
    assert run(request_) == 0
    more = workplace.request(0.9, engine="slurm")
    assert run(more) == 0
    assert in_file(request_) == [ids(more)]


@pytest.mark.parametrize("text", ["", "{", "[1]", "[{}]", "{}"])
def test_broken_array_list_is_ignored(fake_slurm, request_, text):
    request_.layout.slurm.mkdir(parents=True)
    (request_.layout.slurm / "arrays.json").write_text(text)
    assert run(request_) == 0
    assert fake_slurm.submitted == [ids(request_)]


@pytest.mark.parametrize("answers_before", [0, 1])
def test_cluster_does_not_answer_for_a_while(fake_slurm, request_, answers_before):
    silence = RunError("squeue: slurm_load_jobs error: Unable to contact slurm controller")
    fake_slurm.answers = [None] * answers_before + [silence] * 50
    assert run(request_) == 0
    assert fake_slurm.submitted == [ids(request_)] and fake_slurm.answers == []


def test_array_that_may_be_running_is_not_resubmitted(fake_slurm, request_, died):
    died({cell: ["RUNNING"] for cell in ids(request_)})
    fake_slurm.answers = [RunError("squeue: no answer")]
    with pytest.raises(RunError, match="no answer"):
        run(request_)
    assert len(fake_slurm.submitted) == 1


def test_cluster_refuses_the_cells(fake_slurm, request_):
    fake_slurm.refusals = [RuntimeError("sbatch: error: invalid partition specified: gpus")]
    with pytest.raises(RunError, match="3 cells cannot be submitted: sbatch: error: invalid part"):
        run(request_)


TIMED_OUT = RuntimeError("sbatch: error: Batch job submission failed: Socket timed out")


@pytest.mark.parametrize("state", ["NODE_FAIL", "PREEMPTED"])
def test_a_refused_resubmission_stops_no_other_cell(workplace, fake_slurm, request_, state, capsys):
    lost = ids(request_)[0]
    fake_slurm.does = {lost: [state]}
    fake_slurm.refusals = [None, TIMED_OUT, TIMED_OUT]
    assert run(replace(request_, retries=1)) == 0
    assert fake_slurm.submitted == [ids(request_), [lost]] and fake_slurm.commands == []
    assert {record.status for record in workplace.records().values()} == {DONE}
    shown = capsys.readouterr().out
    assert shown.count("1 cells cannot be submitted: sbatch: error: Batch job") == 1
    reason = "preempted, submitted again" if state == "PREEMPTED" else "its process died"
    assert shown.count(f"{lost}: ") == 2 and f"{lost}: {reason}" in shown


def test_a_refused_second_array_leaves_the_first_running(fake_slurm, request_, monkeypatch):
    monkeypatch.setattr(slurm_arrays, "MAX_CELLS", 2)
    fake_slurm.refusals = [None, TIMED_OUT]
    with pytest.raises(RunError, match="1 cells cannot be .* Socket timed out; 2 are in the queue"):
        run(request_)
    assert fake_slurm.commands == []
    assert run(request_) == 0
    assert fake_slurm.submitted == [ids(request_)[:2], ids(request_)[2:]]


def test_arrays_have_a_max_size(workplace, fake_slurm, monkeypatch):
    monkeypatch.setattr(slurm_arrays, "MAX_CELLS", 2)
    request = workplace.request(0.1, 0.25, 0.5, 0.75, 0.9, engine="slurm")
    assert run(request) == 0
    assert fake_slurm.submitted == [ids(request)[:2], ids(request)[2:4], ids(request)[4:]]
    assert set(workplace.records()) == set(ids(request))


def test_a_machine_without_slurm(workplace, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RunError, match="srun"):
        run(workplace.request(0.5, engine="slurm"))
