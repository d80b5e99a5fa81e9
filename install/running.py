"""Running the set-up's commands: the log they write to, and the error that stops the set-up."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from install.diagnosis import diagnose


class SetupError(Exception):
    """A step that cannot go on; the message is one line that ends in the remedy."""


class Runner:
    """Runs commands one after another and keeps all that they print in one log.

    Args:
        log: the log file; made, with its folder, at the first command.
        environ: environment variables of the commands.
    """

    def __init__(self, log: Path, environ: Mapping[str, str]) -> None:
        self.log = log
        self.environ = {
            **environ,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_INPUT": "1",
        }

    def run(self, command: Sequence[str | Path], **environ: str) -> None:
        """Runs one command.

        Args:
            command: the program and its arguments.
            environ: further environment variables for this command.

        Raises:
            SetupError: the command failed; says why as far as its output tells, and the log's path.
        """
        status, output = self.attempt(command, **environ)
        if status != 0:
            raise SetupError(f"{diagnose(output)} (all output: {self.log_name()})")

    def attempt(self, command: Sequence[str | Path], **environ: str) -> tuple[int, str]:
        """Runs one command and returns its exit status and what it printed (stdout and stderr)."""
        words = [str(word) for word in command]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a+", encoding="utf-8", errors="replace") as log:
            log.write(f"$ {shlex.join(words)}\n")
            log.flush()
            start = log.tell()
            # Into the file, not through a pipe: a long download can be watched there.
            status = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**self.environ, **environ},
                check=False,
            ).returncode
            log.seek(start)
            return status, log.read()

    def log_name(self) -> str:
        """The log's path as a reader in the current folder would type it."""
        return os.path.relpath(self.log)


@contextmanager
def step(label: str, note: str = "") -> Iterator[None]:
    """Prints what is being done, then how long it took; an error is given the step's name.

    Args:
        label: what is being done.
        note: what else to know while it takes its time.

    Raises:
        SetupError: from inside, with the label before it.
    """
    print(f"setup: {label}{note and f' ({note})'} ...", end="", flush=True)
    start = time.monotonic()
    try:
        yield
    except SetupError as error:
        print(" failed", flush=True)
        raise SetupError(f"{label}: {error}") from error
    except BaseException:
        print(" stopped", flush=True)
        raise
    print(f" {time.monotonic() - start:.0f} s", flush=True)


def complain(message: str) -> None:
    """Prints one line on stderr, after what stdout has so far."""
    sys.stdout.flush()
    print(f"make setup: {message}", file=sys.stderr, flush=True)
