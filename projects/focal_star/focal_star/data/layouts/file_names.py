"""Finds the files that an annotation file means, however it spells their names."""

import os
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from focal_star.data.layouts.problems import holds
from focal_star.data.layouts.split import kinds_of_splits
from focal_star.io.image_files import SUFFIXES
from focal_star.io.quoting import shown

MAX_FILES = 2_000_000
"""A folder with more files is not searched."""

MAX_PARTS = 100
"""A name with more folders means no file."""

MAX_LISTED = 12
"""Entries of a folder that a message lists."""

MAX_FOLDERS = 100
"""The max number of folders in a folder that are searched for a data set."""

USUAL_FOLDERS = ("images", "data", "jpegimages")
"""Folders that tools put images into, whatever folder a name says, in lower case."""


class ImageFolder:
    """The images below a folder, found by the end of their paths.

    Unicode's composed and decomposed letters, upper and lower case count as equal; a name that then
    fits several files fits none. Nor does a name fit a file whose folders say that it is another
    image: ``cam2/0.jpg`` is not ``images/cam1/0.jpg``, and, where there is a folder ``val``,
    ``0.jpg`` of the validation split is not ``train/0.jpg``.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def find(self, name: str, preferred: Path, split: str = "") -> str | None:
        """The path, relative to the folder, of the file that a name means; None where unclear.

        Args:
            name: as an annotation file has it.
            preferred: the folder, in this one or itself, where the name was expected.
            split: "train" or "val", to which the image belongs; "" where this is unknown.
        """
        without_query = name.partition("?")[0]  # of an address
        for spelling in dict.fromkeys((name, unquote(name), unquote(without_query))):
            path = spelling.replace("\\", "/").replace("?d=", "/")  # of Label Studio's storage
            parts = [part for part in path.split("/") if part not in ("", ".")]
            of_server = ".." in parts or "://" in spelling  # its folders are not those of the data
            is_absolute = path.startswith("/") or ":" in path.partition("/")[0]
            if len(parts) > MAX_PARTS:
                continue
            while parts and (".." in parts or parts[0].endswith(":")):
                parts = parts[1:]
            for start in range(len(parts)):
                tail = parts[start:]
                dropped = [] if of_server else parts[:start]
                paths = [
                    path
                    for path in self._of_tail(tail)
                    if not self._is_another(path, dropped, tail, is_absolute, preferred, split)
                ]
                if len(paths) > 1:
                    paths = [f for f in paths if (self.folder / f).parent == preferred] or [
                        f for f in paths if _key(self.folder / f).endswith(
                            _key(preferred.joinpath(*tail)))
                    ]  # fmt: skip
                if len(paths) == 1:
                    return paths[0]
                if len(paths) > 1:
                    return None
        return None

    def _of_tail(self, parts: list[str]) -> list[str]:
        key = "/" + _key("/".join(parts))
        return [
            path
            for path in self._by_name.get(_key(parts[-1]), ())
            if ("/" + _key(path)).endswith(key)
        ]

    def _is_another(
        self,
        path: str,
        dropped: list[str],
        tail: list[str],
        is_absolute: bool,
        preferred: Path,
        split: str,
    ) -> bool:
        """Whether the folders of a file say that it is not the image of a name.

        Args:
            path: of the file.
            dropped: the folders at the start of the name that the path does not have.
            tail: the rest of the name, with which the path ends.
            is_absolute: whether the name is the path of a file on some machine.
            preferred: see :meth:`find`.
            split: see :meth:`find`.
        """
        folders = [_key(part) for part in path.split("/")[: -len(tail)]]
        dropped = [_key(part) for part in dropped]
        is_doubled = dropped[-1:] == [_key(tail[0])]  # such as images/images/
        named_folders = {"/".join((*folders, *dropped[-1:])), "/".join(dropped)}
        if dropped and not is_doubled and named_folders & self._folders:
            return True  # the name's own folder is there, and the file is not in it
        expected = _key(os.path.relpath(preferred, self.folder)).split("/")
        if folders == expected[: len(folders)]:
            return False  # it is in the expected folder, or in one that this one is in
        expected_splits = kinds_of_splits(expected)
        has_folder_of_split = bool(expected_splits) and holds(preferred.is_dir)
        expected_splits = expected_splits or {split}
        has_folder_of_split |= bool(expected_splits & self._splits)
        kinds = kinds_of_splits([*folders, *tail[:-1]])
        if has_folder_of_split and kinds and kinds.isdisjoint(expected_splits):
            return True  # it is in the folder of another split
        if is_absolute and len(self._folders_with_images) == 1:
            return False  # all images are together, in a folder with another name than there
        names_folder = not set(USUAL_FOLDERS).issuperset(dropped)
        return names_folder and not all(
            folder in USUAL_FOLDERS or kinds_of_splits([folder]) & expected_splits
            for folder in folders
        )

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        paths: dict[str, list[str]] = {}
        for path in images_below(self.folder):
            paths.setdefault(_key(os.path.basename(path)), []).append(path)
        return paths

    @cached_property
    def _folders(self) -> set[str]:
        """The folders with images, and those that these are in."""
        folders = self._folders_with_images
        return {_key(str(p)) for folder in folders for p in PurePosixPath(folder, "*").parents}

    @cached_property
    def _folders_with_images(self) -> set[str]:
        return {os.path.dirname(path) for paths in self._by_name.values() for path in paths}

    @cached_property
    def _splits(self) -> set[str]:
        """The splits that these folders are named as."""
        return kinds_of_splits(self._folders)


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
            names_of: dict[str, list[str]] = {}
            try:
                for name in sorted(os.listdir(folder)):
                    names_of.setdefault(_key(name), []).append(name)
            except (OSError, ValueError):
                names_of = {}
            self._of_folder[folder] = names_of
        return self._of_folder[folder]


def is_image_name(name: str) -> bool:
    """Whether a file's name ends as one of an image, and it is not hidden."""
    return not name.startswith(".") and PurePosixPath(name).suffix.lower() in SUFFIXES


def images_below(folder: Path) -> list[str]:
    """The images below a folder, as sorted paths relative to it."""
    paths = islice(files_below(folder), MAX_FILES)
    return sorted(path for path in paths if is_image_name(os.path.basename(path)))


def files_below(folder: Path, deep: bool = True) -> Iterator[str]:
    """The files below a folder, or directly in it, as paths relative to it.

    Hidden files and folders are left out, such as ``._a.xml`` of macOS and ``.ipynb_checkpoints``.
    """
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith(".")) if deep else []
        below = os.path.relpath(parent, folder)
        for name in sorted(names):
            if not name.startswith("."):
                yield name if below == "." else f"{below}/{name}"


def listed(folder: Path) -> str:
    """What a message lists of the content of a folder; "" where it is empty.

    Raises:
        OSError: it cannot be read.
    """
    names = sorted(entry.name + "/" * entry.is_dir() for entry in folder.iterdir())
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return f"{', '.join(map(shown, names[:MAX_LISTED]))}{more}"


def folders_below(folder: Path) -> list[Path]:
    """The folders in a folder, and those in them, the first `MAX_FOLDERS`.

    Raises:
        OSError: the folder cannot be listed.
    """
    folders = [place for place in sorted(folder.iterdir()) if holds(place.is_dir)][:MAX_FOLDERS]
    for place in [*folders]:
        with suppress(OSError):
            folders += [p for p in sorted(place.iterdir()) if holds(p.is_dir)]
    return folders[:MAX_FOLDERS]


def path_below(path: Path, folder: Path) -> str:
    """A path relative to a folder, also where the folder is spelt otherwise in it."""
    try:
        return path.relative_to(folder).as_posix()
    except ValueError:
        return Path(os.path.relpath(path, folder)).as_posix()


def is_as_named(path: Path, name: str, folder: Path) -> bool:
    """Whether a file is below the folder where it was expected, and its path ends with its name.

    Composed and decomposed letters count as equal.
    """
    end = _composed(f"/{name.lstrip('/')}")
    return path.is_relative_to(folder) and _composed(path).endswith(end)


def _composed(path: str | Path) -> str:
    return unicodedata.normalize("NFC", str(path))


def _key(path: str | Path) -> str:
    return _composed(path).casefold()
