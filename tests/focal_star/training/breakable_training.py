"""Runs trainings, one after the other, that are broken off where a test says.

Each training is a fork of this process, which has imported everything and computed nothing, so that
it starts at once. A job is a line of JSON on the standard input::

    {"arguments": [...],          of train_net.py
     "ranks": 1,                  processes; several talk over gloo, on the CPU
     "action": "kill",            "kill", "terminate" (SIGTERM), "full" (no space left on device)
     "call": ["os.fsync", 3],     at which call of which function, or
     "seconds": 1.5,              when after its start ("kill" and "terminate" alone)
     "rank": 0}                   in which of the processes; by default in all

What comes back, as a line on the standard output, is ``codes``, the exit code of each process
(negative: the signal), ``calls``, how often the first of them called each function of
``BREAKABLE``, and ``seconds``.
"""

import errno
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from pathlib import Path

import torch
from detectron2.engine import default_argument_parser, defaults
from torch.nn.parallel import DistributedDataParallel

from focal_star.evaluation.ap import APEvaluator
from focal_star.training import command, engine, interruption
from focal_star.training.events import MetricsWriter
from focal_star.training.trainer import Trainer

BREAKABLE = {
    "find_start": (engine, "find_start"),
    "Trainer.load": (Trainer, "load"),
    "Trainer.run_step": (Trainer, "run_step"),
    "Trainer.after_step": (Trainer, "after_step"),
    "Trainer.full_state": (Trainer, "full_state"),
    "MetricsWriter.write": (MetricsWriter, "write"),
    "APEvaluator.process": (APEvaluator, "process"),
    "APEvaluator._evaluate": (APEvaluator, "_evaluate"),
    "os.fsync": (os, "fsync"),
    "os.replace": (os, "replace"),
    "Path.unlink": (Path, "unlink"),
}


def act(action: str) -> None:
    if action == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if action == "kill":
        os.killpg(0, signal.SIGKILL)
    # As a cluster does, from outside: the workers of data loaders get it too.
    sigterm = ["kill", "-s", "TERM", "--", f"-{os.getpgrp()}"]
    subprocess.Popen(sigterm, start_new_session=True)
    while not interruption.is_requested():  # until it was noticed
        time.sleep(0.01)


def make_breakable(job: dict, calls: Counter) -> None:
    """Count the calls of all functions, and act before the one that the job names."""

    def breakable(name, function):
        @functools.wraps(function)
        def counted(*args, **kwargs):
            calls[name] += 1
            if [name, calls[name]] == job.get("call"):
                act(job["action"])
            return function(*args, **kwargs)

        return counted

    for name, (owner, attribute) in BREAKABLE.items():
        setattr(owner, attribute, breakable(name, getattr(owner, attribute)))


def train(job: dict, rank: int, rendezvous: str, report: int) -> int:
    """The exit code of one process of a training."""
    os.setpgrp()
    calls = Counter()
    breaks = job.get("rank", rank) == rank
    make_breakable(job if breaks else {}, calls)
    if breaks and "seconds" in job:
        threading.Timer(job["seconds"], act, [job["action"]]).start()
    if job.get("ranks", 1) > 1:
        torch.distributed.init_process_group(
            "gloo", f"file://{rendezvous}", rank=rank, world_size=job["ranks"]
        )
        # Detectron2's own names a GPU.
        defaults.create_ddp_model = lambda model, **options: DistributedDataParallel(
            model, **options
        )
    try:
        command.run(default_argument_parser().parse_args(job["arguments"]))
        return 0
    except SystemExit as end:
        return end.code
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        os.write(report, json.dumps(calls).encode())


def run(job: dict) -> dict:
    """Fork the processes of a job and wait for them."""
    with tempfile.TemporaryDirectory() as folder:
        reports, children = [], []
        for rank in range(job.get("ranks", 1)):
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                os.dup2(2, 1)
                code = 1
                try:
                    code = train(job, rank, f"{folder}/rendezvous", writing)
                finally:
                    sys.stderr.flush()
                    os._exit(code)
            os.close(writing)
            reports.append(reading)
            children.append(child)
        started = time.monotonic()
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        seconds = time.monotonic() - started
        calls = [json.loads(os.read(reading, 2**16) or b"{}") for reading in reports]
        for reading in reports:
            os.close(reading)
    return {"codes": codes, "calls": calls[0], "seconds": seconds}


if __name__ == "__main__":
    torch.set_num_threads(1)
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)
