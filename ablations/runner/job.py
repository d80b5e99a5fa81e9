"""Describes a cell's process: its arguments, its inputs, and its mark in the cell's folder."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ablations.identity.fingerprint import Identity
from ablations.identity.snapshot import CONFIGS, TRAIN_NET, Code
from ablations.storage.layout import ROOT, Layout
from ablations.study.cell import Cell
from focal_star.io.file_hash import file_sha256


@dataclass(frozen=True)
class Input:
    """A file that cells read, and its state when the run read it.

    Attributes:
        path: relative to the checkout, or absolute.
        size: bytes; None if the file does not exist.
        changed: the time of its last change, nanoseconds.
        sha256: the hash of its content, since another study may write the same file again.
    """

    path: str
    size: int | None
    changed: int | None
    sha256: str = ""

    @classmethod
    def now(cls, path: str) -> "Input":
        """The file's present state."""
        try:
            state = (ROOT / path).stat()
            return cls(path, state.st_size, state.st_mtime_ns, file_sha256(ROOT / path))
        except OSError:
            return cls(path, None, None)

    def is_unchanged(self) -> bool:
        """Whether the content is the same; the file is read only if its time has changed."""
        try:
            state = (ROOT / self.path).stat()
            if (state.st_size, state.st_mtime_ns) == (self.size, self.changed):
                return True
            return state.st_size == self.size and file_sha256(ROOT / self.path) == self.sha256
        except OSError:
            return self.size is None


@dataclass(frozen=True)
class Job:
    """Everything that a cell's process needs. Another machine with the same disk can run it.

    Attributes:
        cell: the cell.
        identity: what determines its result.
        layout: the study's files.
        config: its config file, relative to ``projects/focal_star/configs``.
        arguments: the arguments of train_net.py that repeat the cell, without the config file and
            OUTPUT_DIR.
        prepared: ``KEY VALUE`` pairs with which the process omits checks that were made before.
        dataset: the data set's description for the record.
        threads: the number of CPU threads.
        retries: the maximum number of restarts of a process that died without a result.
        code: the code that trains.
        inputs: the files that the identity's hashes were computed from.
        config_values: dotted key -> value that the process's config must have.
    """

    cell: Cell
    identity: Identity
    layout: Layout
    config: str
    arguments: tuple[str, ...]
    prepared: tuple[str, ...]
    dataset: dict[str, Any]
    threads: int
    retries: int
    code: Code
    inputs: tuple[Input, ...] = ()
    config_values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def process_arguments(self) -> tuple[str, ...]:
        """The arguments of the process itself."""
        folder = ("OUTPUT_DIR", str(self.layout.cell(self.cell.id)))
        config = str(self.code.config_file(self.config))
        return ("--resume", "--config-file", config, *self.arguments, *self.prepared, *folder)

    @property
    def command(self) -> str:
        """The command that repeats the cell in the checkout, without environment variables."""
        output = f"{self.layout.root}/repeated/{self.cell.id}"
        config = ("--config-file", str(CONFIGS / self.config))
        return shlex.join([TRAIN_NET, *config, *self.arguments, "OUTPUT_DIR", output])

    def changed_inputs(self) -> list[str]:
        """The files that changed since the identity was computed."""
        return [file.path for file in self.inputs if not file.is_unchanged()]


def mark_of(job: Job) -> dict[str, Any]:
    """The mark, which is written into a cell's folder when a process starts.

    The cell's record contains it. Any later run can write the record and describe the process.
    """
    return {
        "fingerprint": job.identity.fingerprint,
        "identity": job.identity.as_dict(),
        "commit": job.code.commit,
        "snapshot_sha256": job.code.sha256,
        "code_sha256": job.code.package_sha256,
        "command": job.command,
        "threads": job.threads,
        "dataset": job.dataset,
        "config_values": dict(job.config_values),
    }


def inputs_of(files: list[Path | str]) -> tuple[Input, ...]:
    """The files as they are now, each once."""
    return tuple(Input.now(str(path)) for path in dict.fromkeys(map(str, files)))
