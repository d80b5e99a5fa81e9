"""Runs a function on the first of several processes only; the others wait for it."""

from collections.abc import Callable
from typing import TypeVar

from detectron2.utils import comm

T = TypeVar("T")


def on_main_process(function: Callable[[], T]) -> T:
    """Run a function on the main process; return its result, or raise its error, on every process.

    Every process must call this. With one process, ``function`` is simply called.
    """
    if comm.get_world_size() == 1:
        return function()
    value, error = None, None
    if comm.is_main_process():
        try:
            value = function()
        except Exception as raised:
            error = raised
    # Some exceptions cannot be made from what pickle keeps of them without their own __init__.
    parts = error and (type(error), error.__reduce__()[1])
    value, parts = comm.all_gather((value, parts))[0]
    if error is not None:
        raise error
    if parts is not None:
        kind, arguments = parts
        raise kind.__new__(kind, *arguments)
    return value


def on_any_process(condition: bool) -> bool:
    """Whether the condition holds on any process. Every process must call this."""
    return any(comm.all_gather(condition))
