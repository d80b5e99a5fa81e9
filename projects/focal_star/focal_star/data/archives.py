"""Fetches COCO 2017's archives and unpacks them as Detectron2 expects them.

train2017.zip, val2017.zip and annotations_trainval2017.zip: a download of 20.4 GB and, while the
largest is unpacked, 41 GB of disk. An interrupted download is resumed if the server allows it. An
archive is unpacked only if its size and its MD5 are those published, and each file of it only if
its CRC is right; no file is written outside the folder, and no existing file is overwritten. An
archive that was unpacked is not downloaded again.

The COCO consortium publishes no checksums. The MD5s are those that two projects have published
independently, MLCommons (mlcommons/training, single_stage_detector/scripts/download_coco2017.sh)
and PaddleDetection (ppdet/utils/download.py); the sizes are those that logs of downloads show. MD5
detects a damaged download; it does not protect against forged archives.
"""

import hashlib
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from focal_star.data.download import BLOCK, FetchError, Report, load

ADDRESS = "http://images.cocodataset.org"
"""COCO's own server."""


@dataclass(frozen=True)
class Archive:
    """A zip file.

    Attributes:
        name: the file's name without its suffix.
        path: the path on the server.
        num_bytes: the size of the file.
        md5: the file's MD5 in hex.
        unpacked: approximate size of its content in bytes, to check the free space beforehand.
        folder: the folder that holds all of its files.
    """

    name: str
    path: str
    num_bytes: int
    md5: str
    unpacked: int
    folder: str

    @property
    def file_name(self) -> str:
        return f"{self.name}.zip"


COCO_2017 = (
    Archive(
        "annotations_trainval2017",
        "annotations/annotations_trainval2017.zip",
        252_907_541,
        "f4bbac642086de4f52a3fdda2de5fa2c",
        unpacked=900_000_000,
        folder="annotations",
    ),
    Archive(
        "val2017",
        "zips/val2017.zip",
        815_585_330,
        "442b8da7639aecaf257c1dceb8ba8c80",
        unpacked=850_000_000,
        folder="val2017",
    ),
    Archive(
        "train2017",
        "zips/train2017.zip",
        19_336_861_798,
        "cced6f7f71b7629ddf16f17bbcfab6b2",
        unpacked=20_000_000_000,
        folder="train2017",
    ),
)
"""The archives that training and testing need."""


def fetch(
    into: Path, archives: Iterable[Archive] = COCO_2017, address: str = ADDRESS, keep: bool = False
) -> None:
    """Download archives and unpack them.

    Args:
        into: the folder for the archives and their files.
        archives: the archives to download.
        address: the server's address.
        keep: whether to keep the archives after unpacking.

    Raises:
        FetchError: an archive is unavailable or damaged, or does not fit on the disk.
        OSError: a file cannot be written; the next call resumes the download.
    """
    into.mkdir(parents=True, exist_ok=True)
    waiting = [archive for archive in archives if not _is_unpacked(into, archive)]
    _require_space(into, _peak_bytes(into, waiting, keep), "all of it")
    for archive in waiting:
        file = into / archive.file_name
        if not (file.exists() and file.stat().st_size == archive.num_bytes):
            with _progress(f"downloading {archive.file_name}", archive.num_bytes) as report:
                load(f"{address}/{archive.path}", file, archive.num_bytes, report)
        with _progress(f"checking {archive.file_name}", archive.num_bytes) as report:
            _require_md5(file, archive, report)
        unpack(file, into, archive.folder)
        _mark(into, archive).write_text(f"{archive.md5}\n", encoding="ascii")
        if not keep:
            file.unlink()


def unpack(file: Path, into: Path, folder: str) -> None:
    """Unpack a zip file, except for files that were unpacked before.

    Raises:
        FetchError: an entry leads out of ``folder``, is a link, or is broken; a file with another
            content exists; the disk is too small. No existing file is changed.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            paths = [_path_of(entry, folder, file) for entry in entries]
            todo = [
                (entry, into / path)
                for entry, path in zip(entries, paths, strict=True)
                if not _is_there(entry, into / path)
            ]
            needed = sum(entry.file_size for entry, _ in todo)
            _require_space(into, needed, f"the content of {file.name}")
            with _progress(f"unpacking {file.name}", needed) as report:
                done = 0
                for entry, path in todo:
                    _write(archive, entry, path)
                    report(done := done + entry.file_size)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise FetchError(f"{file} is damaged: {error}; remove it, and try again") from error


def _path_of(entry: zipfile.ZipInfo, folder: str, file: Path) -> PurePosixPath:
    """Where an entry goes, relative to the folder of the archive."""
    path = PurePosixPath(entry.filename)
    is_link = stat.S_ISLNK(entry.external_attr >> 16)
    if path.is_absolute() or ".." in path.parts or "\\" in entry.filename or ":" in path.parts[0]:
        fault = "leads out of the folder"
    elif is_link or path.parts[0] != folder or len(path.parts) < 2:
        fault = f"is {'a link' if is_link else 'unexpected'}, and all must be files in {folder}/"
    else:
        return path
    raise FetchError(f"{file}: the entry {entry.filename!r} {fault}; not unpacked")


def _is_there(entry: zipfile.ZipInfo, path: Path) -> bool:
    """Whether a file with an entry's content exists.

    Raises:
        FetchError: a file with another content, or something else, has its path.
    """
    if not path.exists() and not path.is_symlink():
        return False
    if path.is_file() and path.stat().st_size == entry.file_size:
        crc = 0
        with path.open("rb") as file:
            for block in _blocks(file):
                crc = zlib.crc32(block, crc)
        if crc == entry.CRC:
            return True
    raise FetchError(f"{path} exists and differs from the file in the archive; move it away")


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> None:
    """Unpack one file whole; zipfile compares its CRC at its end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        with archive.open(entry) as source, part.open("wb") as target:
            shutil.copyfileobj(source, target, BLOCK)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _require_md5(file: Path, archive: Archive, report: Report) -> None:
    digest, done = hashlib.md5(usedforsecurity=False), 0
    with file.open("rb") as content:
        for block in _blocks(content):
            digest.update(block)
            report(done := done + len(block))
    if digest.hexdigest() != archive.md5:
        broken = file.replace(file.with_name(f"{file.name}.broken"))
        raise FetchError(
            f"{file}: its MD5 is {digest.hexdigest()}, and {archive.md5} was published; it is "
            f"{broken.name} now: remove that, and try again"
        )


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    return iter(lambda: file.read(BLOCK), b"")


def _mark(into: Path, archive: Archive) -> Path:
    """The file that marks an archive as unpacked; it holds the archive's MD5."""
    return into / f".{archive.file_name}.unpacked"


def _is_unpacked(into: Path, archive: Archive) -> bool:
    mark = _mark(into, archive)
    return (
        mark.is_file()
        and mark.read_text(encoding="ascii", errors="replace").strip() == archive.md5
        and (into / archive.folder).is_dir()
    )


def _peak_bytes(into: Path, archives: list[Archive], keep: bool) -> int:
    """The maximum number of further bytes that will be in use at any time."""
    peak = used = 0
    for archive in archives:
        files = [into / archive.file_name, into / f"{archive.file_name}.part"]
        there = sum(file.stat().st_size for file in files if file.exists())
        used += max(0, archive.num_bytes - there) + archive.unpacked
        peak = max(peak, used)
        used -= 0 if keep else archive.num_bytes
    return peak


def _require_space(folder: Path, num_bytes: int, what: str) -> None:
    free = shutil.disk_usage(folder).free
    if free < num_bytes:
        raise FetchError(
            f"{folder} has {free / 1e9:.1f} GB left, and {what} needs {num_bytes / 1e9:.1f} GB; "
            "free some, or name another folder (--into)"
        )


@contextmanager
def _progress(text: str, num_bytes: int) -> Iterator[Report]:
    """Show a progress bar on a terminal, elsewhere one line at the end."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as progress:
        task = progress.add_task(text, total=num_bytes)
        yield lambda done: progress.update(task, completed=done)
