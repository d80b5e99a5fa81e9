"""Snapshots of the code that trains, taken at the start of a run.

A run takes long, and its checkout may be edited meanwhile. A run therefore starts with a copy of
the code that trains (train_net.py, the configs, the package ``focal_star``), and all its processes
use that copy. What the run recorded at its start is still true for its last cell.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ablations.storage.layout import ROOT, Layout
from focal_star.identity.loss_code import hashes
from focal_star.identity.sources import sha256_of
from focal_star.io.temporary import temporary_folder

PROJECT = Path("projects/focal_star")
TRAIN_NET = str(PROJECT / "train_net.py")
CONFIGS = PROJECT / "configs"
PACKAGE = PROJECT / "focal_star"

IGNORED = ("__pycache__",)
NAME_DIGITS = 12
MAX_SNAPSHOTS = 5
"""The max number of snapshots in a study's folder, beside those that a running process needs."""


@dataclass(frozen=True)
class Code:
    """Files that train: the checkout's, or a snapshot of them.

    Attributes:
        root: the folder that holds ``projects/focal_star``; relative to the checkout, or absolute.
        sha256: hash of all the files; "" for the checkout, whose files may change.
        package_sha256: hash of the package's sources, as the training process reports it; "" for
            the checkout.
        commit: the checkout's commit, with "-dirty" where files differ from it; "" outside git.
    """

    root: Path
    sha256: str = ""
    package_sha256: str = ""
    commit: str = ""

    def losses(self) -> dict[str, str]:
        """Name of a loss -> SHA-256 of its code."""
        return hashes(package=ROOT / self.root / PACKAGE)

    @property
    def script(self) -> Path:
        """train_net.py."""
        return ROOT / self.root / TRAIN_NET

    def config_file(self, config: str) -> Path:
        """A config file, named relative to ``projects/focal_star/configs``."""
        return self.root / CONFIGS / config

    def variables(self) -> dict[str, str]:
        """Environment variables with which a process imports this package and no other."""
        others = os.environ.get("PYTHONPATH")
        first = str(ROOT / self.root / PROJECT)
        return {"PYTHONPATH": os.pathsep.join([first, *([others] if others else [])])}

    def in_checkout(self, text: str) -> str:
        """A message with the names of the checkout's files in place of the snapshot's."""
        return text.replace(f"{self.root}{os.sep}", "")


def checkout() -> Code:
    """The files of the checkout, which may be edited during a run."""
    return Code(ROOT)


def take(layout: Layout) -> Code:
    """Copy the code that trains into the study's folder, unless an equal copy is there.

    Raises:
        OSError: a file cannot be read or written; the message names it.
    """
    described, files = commit(), _read(ROOT)
    digest = sha256_of(files)
    folder = layout.code / digest[:NAME_DIGITS]
    if not folder.is_dir() or sha256_of(_read(folder)) != digest:
        _write(files, folder)
    os.utime(folder)  # the newest is the one in use
    package = f"{PACKAGE.as_posix()}/"
    sources = {
        name.removeprefix(package): content
        for name, content in files.items()
        if name.startswith(package) and name.endswith(".py")
    }
    return Code(folder, digest, sha256_of(sources), described)


def find(layout: Layout, sha256: str) -> Code | None:
    """The snapshot of this hash, if the study's folder has it."""
    folder = layout.code / sha256[:NAME_DIGITS]
    return replace(checkout(), root=folder, sha256=sha256) if sha256 and folder.is_dir() else None


def prune(layout: Layout, needed: set[str]) -> None:
    """Remove the oldest snapshots, but keep those with these hashes and the newest few."""
    folders = sorted(layout.code.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    names = {sha256[:NAME_DIGITS] for sha256 in needed}
    for folder in folders[MAX_SNAPSHOTS:]:
        if folder.name not in names:
            shutil.rmtree(folder, ignore_errors=True)


def is_crowded(layout: Layout) -> bool:
    """Whether there are more snapshots than are kept."""
    return len(list(layout.code.iterdir())) > MAX_SNAPSHOTS


def commit() -> str:
    """The commit of this checkout, with "-dirty" where files differ from it; "" outside git.

    New files of the code count as well, such as a user's own loss and table.
    """
    described = _git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    new = _git("ls-files", "--others", "--exclude-standard", str(PROJECT), "ablations")
    return f"{described}-dirty" if described and new and "-dirty" not in described else described


def _git(*arguments: str) -> str:
    """The output of a command of git; "" where it cannot be run."""
    try:
        ended = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return ended.stdout.strip()


def _read(root: Path) -> dict[str, bytes]:
    """Name -> content of the files that train; a name is the posix path relative to ``root``."""
    project = root / PROJECT
    paths = [
        *project.rglob("*.py"),
        *(root / CONFIGS).rglob("*"),
        *(root / PACKAGE).rglob("*"),
    ]
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in paths
        if path.is_file() and not set(IGNORED) & set(path.parts)
    }


def _write(files: Mapping[str, bytes], folder: Path) -> None:
    """Write files into a new folder, which appears complete or not at all."""
    with temporary_folder(folder) as temporary:
        new = temporary / "new"
        for name, content in files.items():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            (new / name).write_bytes(content)
        if folder.exists():  # somebody has edited it
            folder.rename(temporary / "edited")
        new.rename(folder)
