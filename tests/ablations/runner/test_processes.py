"""A cell's process starts as a new interpreter, or is forked from a server."""

import json
import os
import signal
import subprocess
import sys
from multiprocessing import forkserver
from types import SimpleNamespace

import pytest

from ablations.identity import environment
from ablations.records.record import DONE, FAILED
from ablations.runner import processes
from ablations.runner.cell_run import CellRun
from ablations.runner.processes import ForkServer, start_new
from tests.ablations.processes import end_of, is_alive, wait_for

WHO = """
import json, os, sys
from pathlib import Path
Path(sys.argv[-1]).mkdir(parents=True, exist_ok=True)
words = {"argv": sys.argv, "cwd": os.getcwd(), "threads": os.environ["OMP_NUM_THREADS"],
         "place": os.environ.get("PLACE"), "pid": os.getpid(), "group": os.getpgid(0),
         "memory": os.environ.get("GLIBC_TUNABLES"),
         "name": __name__, "path": sys.path[0],
         "imported": "focal_star.training.command" in sys.modules}
Path("who.json").write_text(json.dumps(words))
print("out"), print("err", file=sys.stderr)
sys.exit(2)
"""


@pytest.fixture
def server(job):
    """The only fork server of this process, which a test may kill."""
    job.layout.root.mkdir(parents=True, exist_ok=True)
    return ForkServer(threads=1, log=job.layout.workers_log, code=job.code)


@pytest.fixture(params=["new", "forked"])
def start(request, server):
    return start_new if request.param == "new" else server.start


def test_both_run_train_net_with_its_arguments(job, workplace, start):
    workplace.train_net.write_text(WHO)
    run = CellRun(job, start, {"PLACE": "here"})
    record = wait_for(run.poll)
    who = json.loads((workplace.root / "who.json").read_text())
    assert who["argv"] == [
        str(workplace.train_net), "--resume",
        "--config-file", str(workplace.root / "projects/focal_star/configs/tiny.yaml"),
        *job.arguments, *job.prepared, "OUTPUT_DIR", str(job.layout.cell(job.cell.id)),
    ]  # fmt: skip
    assert who["name"] == "__main__" and who["cwd"] == str(workplace.root)
    assert who["path"] == str(workplace.train_net.parent)
    assert (who["threads"], who["place"]) == (str(job.threads), "here")
    assert who["pid"] == who["group"] == run._process.pid, "it leads a group of its own"
    lock = job.layout.cell_lock(job.cell.id).read_text().split()
    assert lock == [str(who["pid"]), os.uname().nodename]
    log = job.layout.cell_log(job.cell.id).read_text()
    assert "out\n" in log and "err\n" in log
    assert record.status == FAILED and "exit code 2" in record.error


def test_only_the_forked_process_has_imported(job, workplace, start, server):
    workplace.train_net.write_text(WHO)
    wait_for(CellRun(job, start).poll)
    who = json.loads((workplace.root / "who.json").read_text())
    assert who["imported"] == (start == server.start)


@pytest.mark.parametrize("own", [None, "glibc.malloc.arena_max=1"])
def test_forked_process_keeps_its_memory_unless_the_user_overrides_it(
    job, workplace, server, monkeypatch, own
):
    forkserver._forkserver._stop()
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    if own:
        monkeypatch.setenv("GLIBC_TUNABLES", own)
    workplace.train_net.write_text(WHO)
    wait_for(CellRun(job, server.start).poll)
    who = json.loads((workplace.root / "who.json").read_text())
    assert who["memory"] == (own or environment.KEPT_MEMORY)
    forkserver._forkserver._stop()


def test_warm_up_imports_before_the_first_cell(job, server):
    forkserver._forkserver._stop()
    server.warm_up()
    pid = forkserver._forkserver._forkserver_pid
    assert pid is not None
    assert wait_for(CellRun(job, server.start).poll).status == DONE
    assert forkserver._forkserver._forkserver_pid == pid, "the cell was forked from it"


def test_both_report_the_same_exit_codes(job, workplace, start):
    for status, action in ((DONE, "done"), ("diverged", "diverged"), (FAILED, "unusable")):
        workplace.act({0.5: action})
        assert wait_for(CellRun(job, start).poll).status == status
        job.layout.cell_result(job.cell.id).unlink(missing_ok=True)


def test_restart_uses_a_new_interpreter(job, workplace, server, monkeypatch):
    starts = []
    monkeypatch.setattr(processes, "start_new", start_new)
    monkeypatch.setattr(
        "ablations.runner.cell_run.start_new",
        lambda start: starts.append(start) or start_new(start),
    )
    workplace.act({0.5: ["killed", "done"]})
    assert wait_for(CellRun(job, server.start).poll).status == DONE
    assert len(starts) == 1


def test_killed_server_loses_no_cell(job, workplace, server):
    workplace.act({0.5: ["wait"]})
    run = CellRun(job, server.start)
    run.poll()
    wait_for((workplace.root / "pids" / job.cell.id).exists)
    os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)
    for _ in range(3):
        assert run.poll() is None and run.attempts == 1, "the cell lives on"
    (workplace.root / "go").touch()
    assert wait_for(run.poll).status == DONE and run.attempts == 1
    job.layout.cell_result(job.cell.id).unlink()
    again = CellRun(job, server.start)  # from a new server
    assert wait_for(again.poll).status == DONE


def test_zombie_process_has_ended():
    """The server is dead, and the container's first process does not collect orphans."""
    child = subprocess.Popen(["sleep", "60"])
    forked = processes._Forked(SimpleNamespace(pid=child.pid, exitcode=processes._SERVER_DIED))
    assert forked.poll() is None
    child.kill()
    wait_for(lambda: forked.poll() is not None)
    assert child.wait() == -signal.SIGKILL


def test_without_a_server_a_new_interpreter_starts(job, server, monkeypatch):
    def refuse(*_):
        raise OSError("no more processes")

    monkeypatch.setattr(forkserver, "ensure_running", refuse)
    server.warm_up()
    assert wait_for(CellRun(job, server.start).poll).status == DONE


def test_missing_preloaded_module_is_skipped(job, server, monkeypatch):
    forkserver._forkserver._stop()
    monkeypatch.setattr(processes, "PRELOADED", ("there_is_no_such_module",))
    assert wait_for(CellRun(job, server.start).poll).status == DONE
    forkserver._forkserver._stop()


def test_kill_reaches_child_processes(job, workplace, start):
    workplace.act({0.5: ["hang"]})
    run = CellRun(job, start)
    run.poll()
    pid = int(wait_for(lambda: _text(workplace.root / "pids" / job.cell.id)))
    run.kill()
    wait_for(lambda: not is_alive(pid))
    assert wait_for(run.poll).status == DONE and end_of(job).status == DONE


def test_runner_process_is_unchanged(job, server):
    before = dict(os.environ), list(sys.path), os.fstat(2).st_ino
    wait_for(CellRun(job, server.start).poll)
    assert (dict(os.environ), list(sys.path), os.fstat(2).st_ino) == before


def _text(path) -> str:
    return path.read_text() if path.exists() else ""
