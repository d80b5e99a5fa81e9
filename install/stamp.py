"""The set-up's memory: what was set up where, so that a second set-up has nothing to do."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from install.target import Target

# What is kept in mind of the environment: when one of these changes or goes, there is something to
# do.
WATCHED = ("torch", "torchvision", "detectron2", "fvcore", "hotcoco", "pytest", "focal_star")


class Stamp:
    """What the last complete set-up of one environment looked like.

    Args:
        root: the repository's root.
        folder: where stamps lie, one a Python.
        target: the environment.
        environ: environment variables of its processes.
    """

    def __init__(self, root: Path, folder: Path, target: Target, environ: Mapping[str, str]):
        self.root = root
        self.target = target
        self.environ = environ
        # Not resolved: the Pythons of two environments may be links to the same file.
        python = os.path.abspath(target.python)
        self.path = folder / f"{hashlib.sha256(python.encode()).hexdigest()[:16]}.json"

    def state(self) -> dict[str, object] | None:
        """What counts now: set-up's own files and the environment; None where that does not run."""
        contents = self.target.look(WATCHED, self.environ)
        if contents is None:
            return None
        return {
            "interpreter": os.path.abspath(self.target.python),
            "python": list(contents.python),
            "versions": contents.versions,
            "places": contents.places,
            "files": self.files_hash(),
        }

    def files_hash(self) -> str:
        """One hash over the files that decide what is installed."""
        files = [*sorted((self.root / "install").glob("*.py"))]
        files += [self.root / "setup.py", self.root / "pyproject.toml"]
        digest = hashlib.sha256()
        for file in files:
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
        return digest.hexdigest()

    def is_current(self) -> bool:
        """Whether nothing changed since the last complete set-up."""
        try:
            written = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return written == self.state()

    def remove(self) -> None:
        """Forgets the last set-up; an interrupted one then leaves nothing that looks complete."""
        self.path.unlink(missing_ok=True)

    def write(self) -> None:
        """Remembers a complete set-up."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(".part")
        draft.write_text(json.dumps(self.state(), indent=1), encoding="utf-8")
        draft.replace(self.path)
