"""Commands whose output is read by another program, such as ``head``, that may stop reading."""

import os
import sys
from collections.abc import Callable

from rich.console import Console


class PipedConsole(Console):
    """rich's console; a closed pipe raises a BrokenPipeError, in place of ending the process."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def until_pipe_closes(run: Callable[[], int]) -> int:
    """Call ``run``, which prints, and return its exit code; 0 where its reader has read enough."""
    try:
        code = run()
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Python flushes the output once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
