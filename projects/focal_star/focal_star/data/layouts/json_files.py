"""Reads annotation files in JSON, which may be broken or hostile."""

import hashlib
import json
from pathlib import Path
from typing import Any

from focal_star.data.layouts.dataset import FileState, stamp_of
from focal_star.data.layouts.problems import Problem
from focal_star.io.json_text import is_too_deep, without_duplicates
from focal_star.io.mistaken import seems_to_be
from focal_star.io.quoting import shown

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_json(
    path: Path, split: str, problems: list[Problem], allow_mark: bool = False
) -> tuple[Any, FileState | None]:
    """The object in a file, and its state; None in place of either where it cannot be read.

    Args:
        path: the file.
        split: for problems, which are added to ``problems``.
        problems: see ``split``.
        allow_mark: whether the file may begin with a byte order mark.
    """

    def add(kind: str, text: str) -> None:
        problems.append(Problem(split, kind, f"{path.name}: {text}"))

    state = None
    try:
        # A pipe or a device would block or never end.
        if path.exists() and not path.is_file():
            raise OSError("it is not a regular file")
        stamp, data = stamp_of(path), path.read_bytes()
        state = FileState(hashlib.sha256(data).digest(), stamp, data.startswith(BYTE_ORDER_MARK))
        if allow_mark:
            data = data.removeprefix(BYTE_ORDER_MARK)
        content = json.loads(data.decode("utf-8"), object_pairs_hook=without_duplicates)
        if is_too_deep(content):
            raise RecursionError
    except FileNotFoundError:
        add("missing-file", f"there is no such file in {shown(str(path.parent))}")
    except OSError as error:
        add("missing-file", f"cannot be read: {error.strerror or error}")
    except UnicodeDecodeError as error:
        add("not-json", f"is not UTF-8 text (byte {error.start})")
    except ValueError as error:
        add("not-json", f"is not JSON: {error}{seems_to_be(data)}")
    except RecursionError:
        add("not-json", "is nested too deeply to be a COCO file")
    else:
        if isinstance(content, dict):
            return content, state
        add("not-coco", f"must be an object, got {shown(content)}; its keys are images, "
            "annotations and categories")  # fmt: skip
    return None, state
