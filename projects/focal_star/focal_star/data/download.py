"""Downloads a file of known size, and goes on with one that broke off."""

import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

BLOCK = 2**20
TIMEOUT = 60.0  # s without a byte
ATTEMPTS = 8
"""Tries in a row that bring no byte, before it is given up."""
WAIT = 1.0
"""Seconds before the second of them; doubled for each further one, up to `LONGEST_WAIT`."""
LONGEST_WAIT = 30.0

Report = Callable[[int], None]
"""Is told of the bytes that are done."""


class FetchError(RuntimeError):
    """A file that could not be had or unpacked; says which, why, and what to do."""


def load(url: str, file: Path, num_bytes: int, report: Report = lambda done: None) -> None:
    """Load a file of known size, going on with ``<file>.part`` if that is there.

    Raises:
        FetchError: the server has not got it, has another size of it, or does not answer.
        OSError: the disk does not take it.
    """
    part = file.with_name(f"{file.name}.part")
    failures, wait = 0, WAIT
    while (done := part.stat().st_size if part.exists() else 0) < num_bytes:
        report(done)
        try:
            _load_more(url, part, done, num_bytes, report)
            reason = "the connection broke off"
        except urllib.error.HTTPError as error:
            if error.code == 416:  # it has no more, and so has another file than the part is of
                part.unlink()
            elif error.code < 500 and error.code not in (408, 429):
                text = f"{url}: the server answers {error.code} {error.reason}"
                raise FetchError(f"{text}; see --address for another server") from error
            reason = f"the server answers {error.code} {error.reason}"
        except (ConnectionError, TimeoutError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
        except urllib.error.URLError as error:
            reason = str(error.reason)
        if part.exists() and part.stat().st_size > done:
            failures, wait = 0, WAIT
            continue
        failures += 1
        if failures == ATTEMPTS:
            raise FetchError(
                f"{url}: {reason}, {ATTEMPTS} times in a row; the same command goes on from here"
            )
        time.sleep(wait)
        wait = min(2 * wait, LONGEST_WAIT)
    if done > num_bytes:
        part.unlink()
        raise FetchError(f"{part} had {done} bytes, and {url} has {num_bytes}; removed: try again")
    part.replace(file)


def _load_more(url: str, part: Path, start: int, num_bytes: int, report: Report) -> None:
    """Ask for what is missing, and write what comes, which may be less."""
    headers = {"Range": f"bytes={start}-"} if start else {}
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"} | headers)
    with closing(urllib.request.urlopen(request, timeout=TIMEOUT)) as response:
        if response.status == 206:
            given = response.headers["Content-Range"] or ""
            found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", given)
            if not found or int(found[1]) != start:
                raise FetchError(f"{url}: asked for bytes from {start} on, got {given!r}")
            size = num_bytes if found[2] == "*" else int(found[2])
        else:  # a server that does not know ranges sends all of it again
            start = 0
            size = int(response.headers["Content-Length"] or num_bytes)
        if size != num_bytes:
            text = f"{url} has {size} bytes, and {num_bytes} were published"
            raise FetchError(f"{text}: it is another file, or a page that stands for it")
        with part.open("ab" if start else "wb") as file:
            while start < num_bytes and (block := response.read(min(BLOCK, num_bytes - start))):
                file.write(block)
                start += len(block)
                report(start)
