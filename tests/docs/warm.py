"""A Python with imported libraries: dozens of commands share one import of torch.

``warm.py serve SOCKET EXECUTABLE`` imports the libraries and waits. The client, :data:`CLIENT`,
replaces ``python`` and sends a command to the server. A fork of the server runs the command with
the arguments, variables, folder, input and output of the client. Each command imports the modules
of this project again.
"""

import array
import atexit
import contextlib
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import traceback
from pathlib import Path

LIBRARIES = (
    "torch", "torchvision", "detectron2.engine", "detectron2.modeling", "detectron2.evaluation",
    "detectron2.model_zoo", "detectron2.checkpoint", "fvcore.nn", "matplotlib.pyplot", "pandas",
    "scipy.stats", "hotcoco", "sklearn.datasets", "jinja2", "rich.console", "rich.table",
    "rich.progress", "PIL.Image", "yaml", "submitit",
)  # fmt: skip

CLIENT = """\
#!{python} -SE
import array, json, os, signal, socket, sys
words = sys.argv[1:]
if not words or not (words[0] == "-m" or words[0].endswith(".py")):
    os.execv({python!r}, [{python!r}, *words])
channel = socket.socket(socket.AF_UNIX)
channel.connect({socket!r})
asked = json.dumps([words, os.getcwd(), dict(os.environ)]).encode()
channel.sendmsg([len(asked).to_bytes(8, "big")],
                [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))])
channel.sendall(asked)
pid = int.from_bytes(channel.recv(8, socket.MSG_WAITALL), "big")
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda number, _: os.kill(pid, number))
sys.exit(int.from_bytes(channel.recv(8, socket.MSG_WAITALL), "big"))
"""
"""The script of the client; ``python`` and ``socket`` are filled in."""


def serve(address: str, executable: str) -> None:
    """Answer commands until the process is killed.

    Args:
        address: the path of the socket; it exists once the libraries are imported.
        executable: the client, with which commands start further processes.
    """
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{address}.new")
    listener.listen(64)
    os.rename(f"{address}.new", address)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        channel, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _answer(channel, executable)
        channel.close()


def _answer(channel: socket.socket, executable: str) -> None:
    head, ancillary, *_ = channel.recvmsg(8, socket.CMSG_SPACE(12))
    files = array.array("i")
    files.frombytes(ancillary[0][2])
    length, received = int.from_bytes(head, "big"), b""
    while len(received) < length:
        received += channel.recv(length - len(received))
    pid = os.fork()
    if pid == 0:
        channel.close()
        _become(*json.loads(received), list(files), executable)
    channel.sendall(pid.to_bytes(8, "big"))
    for file in files:
        os.close(file)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    with contextlib.suppress(OSError):
        channel.sendall((code if code >= 0 else 128 - code).to_bytes(8, "big"))
    os._exit(0)


def _become(
    words: list[str], folder: str, variables: dict[str, str], files: list[int], executable: str
) -> None:
    """Run a module or a script as ``python`` does, and exit."""
    for number, file in enumerate(files):
        os.dup2(file, number)
    for file in files:
        if file > 2:
            os.close(file)
    sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    paths = [path for path in variables.get("PYTHONPATH", "").split(os.pathsep) if path]
    is_module = words[0] == "-m"
    first = folder if is_module else str(Path(words[0]).resolve().parent)
    sys.path[:] = [first, *paths, *(path for path in sys.path[1:] if path not in paths)]
    sys.executable = executable
    sys.argv = words[1:] if is_module else words
    code = 0
    try:
        if is_module:
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    serve(*sys.argv[2:])
