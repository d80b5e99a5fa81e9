"""Runs train_net.py again and again, each time to the real end of a Python process.

Each training is a fork of this process, which has imported everything and computed nothing, so that
it starts at once. A job is a line of JSON on the standard input: ``arguments`` of train_net.py,
``log``, the file for what it prints, ``ranks``, the number of its processes (which talk over gloo,
on the CPU), and ``seconds_per_batch``, by which each batch of images is delayed. A line with its
process id comes back at once, one with its exit code at its end.
"""

import json
import os
import signal
import sys
import time
from typing import Any
from unittest.mock import patch

import torch
from detectron2.engine import defaults
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data._utils.fetch import _MapDatasetFetcher as Fetcher

from focal_star.training import command, interruption


def launch(run: Any, ranks: int, dist_url: str, args: tuple, **others: Any) -> None:
    """Detectron2's, on the CPU."""
    if ranks == 1:
        run(*args)
    else:
        rendezvous = f"file://{args[0].opts[-1]}-rendezvous"
        torch.multiprocessing.spawn(run_rank, (ranks, rendezvous, *args), ranks)


def run_rank(rank: int, ranks: int, rendezvous: str, args: Any) -> None:
    torch.distributed.init_process_group("gloo", rendezvous, rank=rank, world_size=ranks)
    # Detectron2's own names a GPU.
    defaults.create_ddp_model = lambda model, **options: DistributedDataParallel(model, **options)
    command.run(args)


def slow(fetch: Any, seconds: float) -> Any:
    """A data loader's ``fetch`` that takes this much longer for each batch."""

    def fetch_slowly(fetcher: Any, indices: Any) -> Any:
        time.sleep(seconds)
        return fetch(fetcher, indices)

    return fetch_slowly


def be_train_net(job: dict) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as in the foreground of a terminal
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    interruption.exit_on_sigterm()
    with (
        interruption.ctrl_c_ends(),
        patch.object(command, "launch", launch),
        patch.object(torch.cuda, "device_count", lambda: job["ranks"]),
        patch.object(Fetcher, "fetch", slow(Fetcher.fetch, job["seconds_per_batch"])),
    ):
        command.main(["--num-gpus", str(job["ranks"]), *job["arguments"]])


if __name__ == "__main__":
    torch.set_num_threads(1)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            be_train_net(json.loads(line))
            break
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
