"""A batch takes a file handle per tensor; without enough of them a training ends, with an error."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource
import torch
from focal_star.data.loader import EndingLoader

class Batches:
    def __len__(self):
        return 9

    def __getitem__(self, number):
        resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))  # of the worker
        return [torch.zeros(9) for _ in range(40)]


for _ in EndingLoader(Batches(), batch_size=None, num_workers=1):
    pass
"""


@pytest.mark.slow
def test_too_many_open_files_end_it():
    command = [sys.executable, "-c", PROGRAM]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=25)
    assert ended.returncode == 1
    assert "Too many open files" in ended.stderr and len(ended.stderr) < 100_000
