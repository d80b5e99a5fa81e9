"""The process that times checkpoints: ``python -m focal_star.tools.speed``."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import msgspec

from ablations.identity import environment
from ablations.identity.snapshot import Code
from ablations.records.speed import Sample
from ablations.runner.request import RunError
from ablations.storage.layout import ROOT, tail

TOOL = ["-m", "focal_star.tools.speed"]

STOP_SECONDS = 5.0


class SpeedProcess:
    """Times checkpoints, each time in a new process."""

    def __init__(self, process: subprocess.Popen[str], log: Path, number: int):
        self._process, self._log = process, log
        self.problems: list[str] = []
        """The reason why each checkpoint cannot be timed; "" if it can."""
        for _ in range(number):
            self.problems.append(str(self._answer().get("error", "")))

    def time(self, number: int, images: int) -> Sample:
        """Time a checkpoint on some images.

        Raises:
            RunError: the process has died.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{number} {images}\n")
            self._process.stdin.flush()
        except OSError as error:
            raise self._died() from error
        answer = self._answer()
        answer.pop("entry", None)
        try:
            return msgspec.convert(answer, Sample)
        except msgspec.ValidationError as error:
            raise RunError(
                f"the times could not be measured: {answer.get('error', error)}"
            ) from error

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._died()
        return json.loads(line)

    def _died(self) -> RunError:
        text = self._log.read_text(encoding="utf-8", errors="replace")
        return RunError(f"the process that measures times has died ({self._log}):\n{tail(text)}")


@contextmanager
def speed_process(
    checkpoints: Sequence[Path], code: Code, log: Path, gpu: str = ""
) -> Iterator[SpeedProcess]:
    """Start the process for these checkpoints; it ends when the block ends.

    Args:
        checkpoints: the weight files; the config of each is in the same folder.
        code: the code that runs.
        log: the file for what the process prints.
        gpu: the value of ``CUDA_VISIBLE_DEVICES`` for the process; "" to leave it unset.

    Raises:
        RunError: the process ends before it is ready.
    """
    variables = environment.threads(1) | environment.memory() | code.variables()
    variables |= {"CUDA_VISIBLE_DEVICES": gpu} if gpu else {}
    with log.open("w", encoding="utf-8") as file:
        process = _start(checkpoints, os.environ | variables, file)
    try:
        yield SpeedProcess(process, log, len(checkpoints))
    finally:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what a dead process has not read cannot be written
                    pipe.close()
        process.terminate()  # its children end when it does
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _start(
    checkpoints: Sequence[Path], variables: dict[str, str], log: IO[str]
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *TOOL, *map(str, checkpoints)],
        cwd=ROOT,
        env=variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        start_new_session=True,  # Ctrl-C reaches only the runner
    )
