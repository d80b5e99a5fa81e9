"""Sets up an environment that can train: `.venv`, or the one whose Python runs this.

Doing nothing is the usual case and takes a fraction of a second. A set-up that was interrupted
goes on where it was when it is started again.
"""

import argparse
import fcntl
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from install.detectron2_install import install_detectron2
from install.running import Runner, SetupError, complain, step
from install.stamp import Stamp
from install.target import Target, make_venv, require_pip
from install.torch_pair import PAIR, install_pair

ROOT = Path(__file__).resolve().parent.parent
VENV = ".venv"
# The stamps, the log, the lock and temporary files; ignored by git.
RECORDS = ".setup"


def main(arguments: Sequence[str] | None = None) -> int:
    """The program. Returns the exit status; a failure is one line on stderr."""
    parser = argparse.ArgumentParser(prog="python3 -m install.environment", description=__doc__)
    parser.add_argument(
        "--here", action="store_true", help="set up the environment of this Python, not .venv"
    )
    here = parser.parse_args(arguments).here
    python = Path(sys.executable) if here else ROOT / VENV / "bin" / "python"
    try:
        set_up(Target(python, ours=not here), ROOT)
    except SetupError as error:
        complain(str(error))
        return 1
    except KeyboardInterrupt:
        complain("interrupted; run make setup again, and it goes on from there")
        return 130
    return 0


def set_up(target: Target, root: Path) -> None:
    """Brings an environment up to date, where it is not.

    Args:
        target: the environment.
        root: the repository's root.

    Raises:
        SetupError: a step failed; the message says which, why and what to do.
    """
    start = time.monotonic()
    records = root / RECORDS
    environ = target.environ(os.environ)
    stamp = Stamp(root, records, target, environ)
    if not stamp.is_current():
        records.mkdir(exist_ok=True)
        with (records / "lock").open("w") as lock:
            take_turn(lock)
            # Another set-up may have done it meanwhile.
            if not stamp.is_current():
                stamp.remove()
                with empty_folder(records / "tmp") as temporary:
                    runner = Runner(records / "setup.log", {**environ, "TMPDIR": str(temporary)})
                    runner.log.unlink(missing_ok=True)
                    install_all(target, root, runner, temporary)
                stamp.write()
    print(f"setup: {target.name()} is ready ({time.monotonic() - start:.1f} s)", flush=True)


def take_turn(lock: TextIO) -> None:
    """Waits until no other set-up of this checkout runs."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        print("setup: waiting for another set-up of this checkout to end", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)


@contextmanager
def empty_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder of a fixed name: what a killed set-up left (gigabytes of torch) goes."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def install_all(target: Target, root: Path, runner: Runner, temporary: Path) -> None:
    """All steps, each on top of the one before; each does only what is missing."""
    if target.ours:
        with step(f"a virtual environment in {VENV}"):
            make_venv(target.python.parent.parent, runner)
    require_pip(target, runner)
    note = "the first time, a download of about 3 GB" if target.ours else ""
    with step(" and ".join(PAIR), note):
        installed = install_pair(target, runner)
    keep = temporary / "keep.txt"
    lines = [f"{name}=={version}\n" for name, version in installed.items()]
    keep.write_text("".join(lines), encoding="utf-8")
    with step("this project and what it needs"):
        pip = [target.python, "-m", "pip", "install"]
        runner.run([*pip, "--constraint", keep, "--editable", f"{root}[test]"])
    install_detectron2(target, runner, keep, temporary / "detectron2")


if __name__ == "__main__":
    sys.exit(main())
