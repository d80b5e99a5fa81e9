"""COCO's archives are fetched from a server of this machine, which breaks off, lies and is slow."""

import hashlib
import io
import json
import shutil
import stat
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest
from PIL import Image

from focal_star.data import __main__ as command_line
from focal_star.data import archives, download
from focal_star.data.archives import Archive, FetchError, fetch, unpack

VAL = "/zips/val2017.zip"
NOISE = Random(0).randbytes(300_000)  # does not compress: a part of the zip is less than the file


@dataclass
class Server:
    """What is served, how, and what was asked for."""

    files: dict[str, bytes] = field(default_factory=dict)
    breaks_after: list[int] = field(default_factory=list)  # bytes, of each answer in turn
    knows_ranges: bool = True
    answers: list[int] = field(default_factory=list)  # status codes that come before the file
    content_range: str = ""  # in place of the right one
    ranges: list[str] = field(default_factory=list)  # of the requests
    paths: list[str] = field(default_factory=list)
    address: str = ""


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(download, "WAIT", 0.001)
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            asked = self.headers.get("Range", "")
            state.ranges.append(asked)
            state.paths.append(self.path)
            self.close_connection = True
            content = state.files.get(self.path)
            if state.answers or content is None:
                self.send_error(state.answers.pop(0) if state.answers else 404)
                return
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
            if asked and state.knows_ranges and start >= len(content):
                self.send_error(416)
                return
            if asked and state.knows_ranges:
                self.send_response(206)
                right = f"bytes {start}-{len(content) - 1}/{len(content)}"
                self.send_header("Content-Range", state.content_range or right)
                content = content[start:]
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            sent = state.breaks_after.pop(0) if state.breaks_after else len(content)
            self.wfile.write(content[:sent])

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http_server:
        thread = threading.Thread(target=http_server.serve_forever, daemon=True)
        thread.start()
        state.address = f"http://127.0.0.1:{http_server.server_port}"
        yield state
        http_server.shutdown()
        thread.join()


def zipped(entries: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def served(server: Server, content: bytes, name: str = "val2017") -> Archive:
    """An archive of this content, on the server."""
    server.files[f"/zips/{name}.zip"] = content
    md5 = hashlib.md5(content).hexdigest()
    return Archive(name, f"zips/{name}.zip", len(content), md5, len(content), name)


@pytest.fixture
def archive(server) -> Archive:
    return served(server, zipped({"val2017/": b"", "val2017/1.jpg": NOISE, "val2017/2.jpg": b"2"}))


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


UNPACKED = {"val2017/1.jpg": NOISE, "val2017/2.jpg": b"2"}


def unpacked(folder: Path) -> dict[str, bytes]:
    """All files but the mark that says so."""
    return {name: content for name, content in files(folder).items() if name[0] != "."}


# --- loading ----------------------------------------------------------------------------------


def test_an_archive_is_loaded_unpacked_and_removed(server, archive, tmp_path):
    fetch(tmp_path / "coco", [archive], server.address)
    assert unpacked(tmp_path / "coco") == UNPACKED
    assert server.ranges == [""]


def test_it_is_not_loaded_again(server, archive, tmp_path):
    fetch(tmp_path, [archive], server.address)
    fetch(tmp_path, [archive], server.address)
    assert len(server.ranges) == 1
    shutil.rmtree(tmp_path / "val2017")
    fetch(tmp_path, [archive], server.address)
    assert len(server.ranges) == 2 and unpacked(tmp_path) == UNPACKED


def test_the_archive_may_be_kept_or_be_there_already(server, archive, tmp_path):
    content = server.files[VAL]
    (tmp_path / "val2017.zip").write_bytes(content)
    fetch(tmp_path, [archive], server.address, keep=True)
    assert server.ranges == []
    assert unpacked(tmp_path) == UNPACKED | {"val2017.zip": content}


def test_a_broken_connection_is_gone_on_with(server, archive, tmp_path):
    server.breaks_after = [100_000, 50_000, 0, 70_000]
    fetch(tmp_path, [archive], server.address)
    assert server.ranges == ["", *(f"bytes={n}-" for n in (100_000, 150_000, 150_000, 220_000))]
    assert unpacked(tmp_path) == UNPACKED


def test_what_an_earlier_call_has_loaded_is_gone_on_with(server, archive, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "ATTEMPTS", 2)
    server.breaks_after = [123_456, 0, 0, 0]
    with pytest.raises(FetchError, match="2 times in a row; repeat the command to resume"):
        fetch(tmp_path, [archive], server.address)
    assert (tmp_path / "val2017.zip.part").stat().st_size == 123_456
    server.breaks_after, server.ranges = [], []
    fetch(tmp_path, [archive], server.address)
    assert server.ranges == ["bytes=123456-"]
    assert unpacked(tmp_path) == UNPACKED


def test_a_server_without_ranges_sends_all_of_it_again(server, archive, tmp_path):
    server.knows_ranges, server.breaks_after = False, [100_000, 200_000]
    fetch(tmp_path, [archive], server.address)
    assert len(server.ranges) == 3
    assert unpacked(tmp_path) == UNPACKED


def test_a_server_that_is_busy_is_asked_again(server, archive, tmp_path):
    server.answers = [503, 429, 500]
    fetch(tmp_path, [archive], server.address)
    assert unpacked(tmp_path) == UNPACKED


def test_a_part_that_is_too_long_is_begun_anew(server, archive, tmp_path):
    part = tmp_path / "val2017.zip.part"
    part.write_bytes(bytes(archive.num_bytes + 1))
    with pytest.raises(FetchError, match="removed: try again"):
        fetch(tmp_path, [archive], server.address)
    assert not part.exists()


def test_a_part_of_a_longer_file_than_the_server_has_is_begun_anew(server, archive, tmp_path):
    (tmp_path / "val2017.zip.part").write_bytes(NOISE[:1000])
    right, server.files[VAL] = server.files[VAL], NOISE[:1000]
    with pytest.raises(FetchError, match=f"1000 bytes, and {archive.num_bytes} were published"):
        fetch(tmp_path, [archive], server.address)
    server.files[VAL] = right
    fetch(tmp_path, [archive], server.address)
    assert unpacked(tmp_path) == UNPACKED


def test_what_the_server_has_not_got_is_said(server, archive, tmp_path):
    server.files.clear()
    with pytest.raises(FetchError, match=r"val2017\.zip: the server answers 404.*--address"):
        fetch(tmp_path, [archive], server.address)


def test_another_range_than_was_asked_for_is_refused(server, archive, tmp_path):
    server.breaks_after, server.content_range = [1000], "bytes 0-999/1000"
    with pytest.raises(FetchError, match="from 1000 on, got 'bytes 0-999/1000'"):
        fetch(tmp_path, [archive], server.address)
    assert (tmp_path / "val2017.zip.part").read_bytes() == server.files[VAL][:1000]


def test_no_server_is_said(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "ATTEMPTS", 2)
    with pytest.raises(FetchError, match="refused"):
        fetch(tmp_path, [archive], "http://127.0.0.1:9")


# --- what was loaded is what was published ----------------------------------------------------


def test_a_wrong_checksum_is_named_and_nothing_is_unpacked(server, archive, tmp_path):
    wrong = replace(archive, md5="0" * 32)
    with pytest.raises(FetchError) as caught:
        fetch(tmp_path, [wrong], server.address)
    assert archive.md5 in str(caught.value) and "0" * 32 in str(caught.value)
    assert files(tmp_path) == {"val2017.zip.broken": server.files[VAL]}
    fetch(tmp_path, [archive], server.address)
    assert {**UNPACKED}.items() <= unpacked(tmp_path).items()


def test_another_size_is_refused_before_it_is_loaded(server, archive, tmp_path):
    server.files[VAL] = b"<html>Pay for this hotel's network"
    with pytest.raises(FetchError, match="34 bytes.*another file or an error page"):
        fetch(tmp_path, [archive], server.address)
    assert files(tmp_path) == {}


def test_a_file_whose_crc_is_wrong_is_not_unpacked(tmp_path):
    content = zipped({"val2017/1.jpg": NOISE})
    at = content.index(NOISE[:100])
    changed = bytes([content[at] ^ 1])
    (tmp_path / "a.zip").write_bytes(content[:at] + changed + content[at + 1 :])
    with pytest.raises(FetchError, match=r"a\.zip is damaged.*CRC"):
        unpack(tmp_path / "a.zip", tmp_path, "val2017")
    assert list(files(tmp_path)) == ["a.zip"]


@pytest.mark.parametrize("content", [b"", b"no zip", zipped({"val2017/1.jpg": NOISE})[:-500]])
def test_what_is_no_zip_is_said(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(FetchError, match="is damaged"):
        unpack(tmp_path / "a.zip", tmp_path, "val2017")


# --- nothing outside the folder, nothing written over -----------------------------------------


@pytest.mark.parametrize(
    "name",
    ["../outside", "val2017/../../outside", "/etc/outside", "val2017/..\\..\\outside"]
    + ["C:/outside", "outside", "train2017/1.jpg", "val2017"],
)
def test_an_entry_outside_the_folder_is_refused_and_nothing_unpacked(tmp_path, name):
    (tmp_path / "a.zip").write_bytes(zipped({"val2017/1.jpg": b"1", name: b"2"}))
    (tmp_path / "into").mkdir()
    with pytest.raises(FetchError, match="not unpacked"):
        unpack(tmp_path / "a.zip", tmp_path / "into", "val2017")
    assert files(tmp_path / "into") == {}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "into"]


def test_a_link_is_refused(tmp_path):
    link = zipfile.ZipInfo("val2017/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc")
    with pytest.raises(FetchError, match="is a link"):
        unpack(tmp_path / "a.zip", tmp_path, "val2017")


def test_what_is_there_is_not_written_over(server, archive, tmp_path):
    (tmp_path / "val2017").mkdir()
    (tmp_path / "val2017" / "2.jpg").write_bytes(b"my own")
    (tmp_path / "val2017" / "3.jpg").write_bytes(b"3")
    with pytest.raises(FetchError, match=r"2\.jpg exists and differs from the file in the archive"):
        fetch(tmp_path, [archive], server.address)
    assert (tmp_path / "val2017" / "2.jpg").read_bytes() == b"my own"
    (tmp_path / "val2017" / "2.jpg").unlink()
    fetch(tmp_path, [archive], server.address)
    assert unpacked(tmp_path) == UNPACKED | {"val2017/3.jpg": b"3"}
    assert server.ranges == [""]


def test_unpacking_that_was_broken_off_is_gone_on_with(server, archive, tmp_path, monkeypatch):
    write = archives._write

    def until_the_second(content, entry, path):
        if path.name == "2.jpg":
            raise KeyboardInterrupt
        write(content, entry, path)

    monkeypatch.setattr(archives, "_write", until_the_second)
    with pytest.raises(KeyboardInterrupt):
        fetch(tmp_path, [archive], server.address)
    written = []
    monkeypatch.setattr(archives, "_write", lambda *a: (written.append(a[2].name), write(*a)))
    fetch(tmp_path, [archive], server.address)
    assert written == ["2.jpg"] and unpacked(tmp_path) == UNPACKED


# --- the disk ---------------------------------------------------------------------------------


def test_a_disk_that_is_too_small_is_said_before_anything_is_loaded(
    server, archive, tmp_path, monkeypatch
):
    needed = archive.num_bytes + archive.unpacked
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=needed - 1))
    with pytest.raises(FetchError, match=r"has 0\.0 GB left, and all of it needs"):
        fetch(tmp_path, [archive], server.address)
    assert server.ranges == [] and files(tmp_path) == {}
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=needed))
    fetch(tmp_path, [archive], server.address)


def test_what_is_loaded_already_needs_no_room_again(archive, tmp_path):
    assert archives._peak_bytes(tmp_path, [archive], keep=False) == 2 * archive.num_bytes
    (tmp_path / "val2017.zip.part").write_bytes(bytes(1000))
    assert archives._peak_bytes(tmp_path, [archive], False) == 2 * archive.num_bytes - 1000
    two = [archive, replace(archive, name="train2017")]
    assert archives._peak_bytes(tmp_path, two, False) == 3 * archive.num_bytes - 1000
    assert archives._peak_bytes(tmp_path, two, True) == 4 * archive.num_bytes - 1000


def test_an_archive_that_unpacks_to_more_than_there_is_room_for_is_refused(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("val2017/1.jpg", bytes(10_000_000))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=9_000_000))
    with pytest.raises(FetchError, match=r"the content of a\.zip needs 0\.0 GB"):
        unpack(tmp_path / "a.zip", tmp_path, "val2017")
    assert not (tmp_path / "val2017").exists()


FILLED = """
import json, resource, sys
from pathlib import Path
from focal_star.data import __main__, archives
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))  # a real write fails
archives.COCO_2017 = (archives.Archive(*json.loads(sys.argv[1])),)
sys.exit(__main__.main(sys.argv[2:]))
"""


def test_a_disk_that_fills_up_is_said_without_a_traceback_and_gone_on_with(
    server, archive, tmp_path
):
    own = [archive.name, archive.path, archive.num_bytes, archive.md5, 0, archive.folder]
    call = ["fetch", "--into", str(tmp_path), "--address", server.address]
    done = subprocess.run(
        [sys.executable, "-c", FILLED, json.dumps(own), *call], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "val2017.zip.part").stat().st_size == 100_000
    fetch(tmp_path, [archive], server.address)
    assert server.ranges == ["", "bytes=100000-"] and unpacked(tmp_path) == UNPACKED


# --- the command ------------------------------------------------------------------------------


def small_coco() -> dict[str, bytes]:
    """The content of three archives as COCO's are laid out, with one image a split."""
    picture = io.BytesIO()
    Image.frombytes("RGB", (64, 48), NOISE[: 64 * 48 * 3]).save(picture, "JPEG")
    instances = {
        "images": [{"id": 9, "file_name": "000000000009.jpg", "width": 64, "height": 48}],
        "annotations": [{"id": 1, "image_id": 9, "category_id": 90, "bbox": [1, 2, 30, 40]}],
        "categories": [{"id": 1, "name": "person"}, {"id": 90, "name": "toothbrush"}],
    }
    text = json.dumps(instances).encode()
    names = [f"annotations/instances_{split}2017.json" for split in ("train", "val")]
    return {
        "annotations_trainval2017": zipped(dict.fromkeys(names, text)),
        "train2017": zipped({"train2017/000000000009.jpg": picture.getvalue()}),
        "val2017": zipped({"val2017/000000000009.jpg": picture.getvalue()}),
    }


def test_what_the_command_fetches_is_a_data_set_that_passes(server, tmp_path, monkeypatch, capsys):
    contents = small_coco()
    small = []
    for real in archives.COCO_2017:
        content = contents[real.name]
        server.files[f"/{real.path}"] = content
        md5 = hashlib.md5(content).hexdigest()
        small.append(replace(real, num_bytes=len(content), md5=md5, unpacked=len(content)))
    monkeypatch.setattr(archives, "COCO_2017", tuple(small))
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    assert command_line.main(["fetch", "--address", server.address]) == 0
    assert capsys.readouterr().out.endswith(f"COCO is in {tmp_path / 'coco'}\n")
    assert command_line.main(["check", str(tmp_path / "coco")]) == 0
    assert "train: 1 image, 1 instance (0 crowd), 2 categories" in capsys.readouterr().out


def test_the_published_archives_are_whole():
    assert [one.name for one in archives.COCO_2017] == [
        "annotations_trainval2017",
        "val2017",
        "train2017",
    ]
    for one in archives.COCO_2017:
        assert len(bytes.fromhex(one.md5)) == 16 and one.path.endswith(one.file_name)
    gigabytes = archives._peak_bytes(Path("nowhere"), list(archives.COCO_2017), False) / 1e9
    loaded = sum(one.num_bytes for one in archives.COCO_2017) / 1e9
    assert f"a download of {loaded:.1f} GB" in archives.__doc__
    assert f"{gigabytes:.0f} GB of disk" in archives.__doc__
