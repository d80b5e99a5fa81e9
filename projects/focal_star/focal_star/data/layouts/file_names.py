"""Finds the files that an annotation file means, however it spells their names."""

import os
import unicodedata
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from focal_star.io.image_files import SUFFIXES

MAX_FILES = 2_000_000
"""A folder with more files is not searched."""


class ImageFolder:
    """The files below a folder, found by the end of their paths.

    Unicode's composed and decomposed letters, upper and lower case count as equal; a name that then
    fits several files fits none.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def find(self, name: str, preferred: Path) -> str | None:
        """The path, relative to the folder, of the file that a name means; None where unclear.

        Args:
            name: as an annotation file has it.
            preferred: the folder, in this one or itself, where the name was expected.
        """
        without_query = name.partition("?")[0]  # of an address
        for spelling in dict.fromkeys((name, unquote(name), unquote(without_query))):
            parts = [p for p in spelling.replace("\\", "/").split("/") if p not in ("", ".")]
            while parts and (".." in parts or parts[0].endswith(":")):
                parts = parts[1:]
            for start in range(len(parts)):
                tail = parts[start:]
                found = self._of_tail(tail)
                if len(found) > 1:
                    found = [f for f in found if (self.folder / f).parent == preferred] or [
                        f for f in found if _key(self.folder / f).endswith(
                            _key(preferred.joinpath(*tail)))
                    ]  # fmt: skip
                if len(found) == 1:
                    return found[0]
                if len(found) > 1:
                    return None
        return None

    def _of_tail(self, parts: list[str]) -> list[str]:
        key = "/" + _key("/".join(parts))
        return [
            path
            for path in self._by_name.get(_key(parts[-1]), ())
            if ("/" + _key(path)).endswith(key)
        ]

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        count = 0
        for folder, folders, names in os.walk(self.folder):
            folders.sort()
            below = os.path.relpath(folder, self.folder)
            for name in sorted(names):
                if is_image_name(name):
                    path = name if below == "." else f"{below}/{name}"
                    found.setdefault(_key(name), []).append(path)
            count += len(names)
            if count > MAX_FILES:
                break
        return found


class Names:
    """The names in folders, found whatever their case and form of letters.

    A name that fits several others fits none, unless it is one of them exactly.
    """

    def __init__(self) -> None:
        self._of_folder: dict[Path, dict[str, list[str]]] = {}

    def find(self, folder: Path, *parts: str) -> Path | None:
        """The file or folder that the parts of a path in a folder mean; None where unclear."""
        for part in parts:
            alike = self.by_key(folder).get(_key(part), [])
            if part not in alike and len(alike) != 1:
                return None
            folder = folder / (part if part in alike else alike[0])
        return folder

    def by_key(self, folder: Path) -> dict[str, list[str]]:
        """The names in a folder, by what is equal in those that count as equal."""
        if folder not in self._of_folder:
            found: dict[str, list[str]] = {}
            try:
                for name in sorted(os.listdir(folder)):
                    found.setdefault(_key(name), []).append(name)
            except (OSError, ValueError):
                found = {}
            self._of_folder[folder] = found
        return self._of_folder[folder]


def is_image_name(name: str) -> bool:
    """Whether a file's name ends as one of an image, and it is not hidden."""
    return not name.startswith(".") and PurePosixPath(name).suffix.lower() in SUFFIXES


def images_below(folder: Path) -> list[str]:
    """The images below a folder, as sorted paths relative to it."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders.sort()
        below = os.path.relpath(parent, folder)
        found += [n if below == "." else f"{below}/{n}" for n in names if is_image_name(n)]
        if len(found) > MAX_FILES:
            break
    return sorted(found)


def _key(path: str | Path) -> str:
    return unicodedata.normalize("NFC", str(path)).casefold()
