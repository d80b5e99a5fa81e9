"""Downloads a file of known size, and resumes an interrupted download."""

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
"""Consecutive attempts without a byte before the download fails."""
WAIT = 1.0
"""Seconds before the second attempt; doubled for each further one, up to `MAX_WAIT`."""
MAX_WAIT = 30.0

Report = Callable[[int], None]
"""Gets the number of bytes that are done."""


class FetchError(RuntimeError):
    """A file that could not be downloaded or unpacked; says which, why, and what to do."""


def load(url: str, file: Path, num_bytes: int, report: Report = lambda done: None) -> None:
    """Download a file of known size, resuming from ``<file>.part`` if it exists.

    Raises:
        FetchError: the server does not have it, has it in another size, or does not answer.
        OSError: the file cannot be written.
    """
    part = file.with_name(f"{file.name}.part")
    failures, wait = 0, WAIT
    while (done := part.stat().st_size if part.exists() else 0) < num_bytes:
        report(done)
        try:
            _load_more(url, part, done, num_bytes, report)
            reason = "the connection was interrupted"
        except urllib.error.HTTPError as error:
            if error.code == 416:  # its file is shorter than the part, so it is another one
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
                f"{url}: {reason}, {ATTEMPTS} times in a row; repeat the command to resume"
            )
        time.sleep(wait)
        wait = min(2 * wait, MAX_WAIT)
    if done > num_bytes:
        part.unlink()
        raise FetchError(f"{part} had {done} bytes, and {url} has {num_bytes}; removed: try again")
    part.replace(file)


def _load_more(url: str, part: Path, start: int, num_bytes: int, report: Report) -> None:
    """Request the missing bytes, and write those that arrive, which may be fewer."""
    headers = {"Range": f"bytes={start}-"} if start else {}
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"} | headers)
    with closing(urllib.request.urlopen(request, timeout=TIMEOUT)) as response:
        if response.status == 206:
            given = response.headers["Content-Range"] or ""
            match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", given)
            if not match or int(match[1]) != start:
                raise FetchError(f"{url}: asked for bytes from {start} on, got {given!r}")
            size = num_bytes if match[2] == "*" else int(match[2])
        else:  # a server that does not know ranges sends all of it again
            start = 0
            size = int(response.headers["Content-Length"] or num_bytes)
        if size != num_bytes:
            text = f"{url} has {size} bytes, and {num_bytes} were published"
            raise FetchError(f"{text}: it is another file or an error page")
        with part.open("ab" if start else "wb") as file:
            while start < num_bytes and (block := response.read(min(BLOCK, num_bytes - start))):
                file.write(block)
                start += len(block)
                report(start)
