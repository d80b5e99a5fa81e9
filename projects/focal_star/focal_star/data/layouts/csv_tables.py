"""Reads a CSV file with a row per object: which image, which category, which two corners.

* With a header, the columns are found by their names, in any order. Commas, semicolons and tabs
  separate them, whichever the header has.
* Without one (keras-retinanet's and Roboflow's RetinaNet), a row is ``path,x1,y1,x2,y2,class``.
* A row with an image alone (``path,,,,,``) is an image without objects.
* A file with a column of scores has a model's detections, and is none of annotations.

A file is UTF-8, perhaps with a byte order mark, and a row is one line.
"""

import codecs
import csv
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from focal_star.data.layouts.file_names import is_image_name
from focal_star.data.layouts.problems import holds
from focal_star.io.mistaken import seems_to_be
from focal_star.io.quoting import shown

IMAGE_COLUMNS = ("filename", "file_name", "image", "image_name", "image_path", "path")
CLASS_COLUMNS = ("class_name", "class", "label", "category", "name")
CORNER_COLUMNS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
)
SIZE_COLUMNS = ("width", "height")
SCORE_COLUMNS = ("score", "scores", "confidence", "conf", "prob", "probability")
"""Names of columns in lower case, the preferred ones first."""

EXPECTED = (
    "CSV files need the columns filename, class, xmin, ymin, xmax and ymax, or rows "
    "path,x1,y1,x2,y2,class without a header"
)
"""What a message says where a file has other columns."""

MAX_BYTES = 2**28
MAX_LINE = 10_000
"""The largest file and the longest line, in bytes and in characters, that are read."""

HEAD_BYTES = 2**14
"""Bytes at the start of a file that say which columns it has."""

MAX_ROWS = 20
"""The rows of a file without a header that are looked at, of which one must be valid."""

_DELIMITERS = ",;\t"

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class CsvError(ValueError):
    """A file or a row that cannot be read; the message says what it must be."""


@dataclass(frozen=True)
class Columns:
    """Where the values are in a row.

    Attributes:
        image: the column of the image.
        category: the column of the category.
        corners: the columns of left, top, right and bottom.
        size: the columns of the image's width and height; None where there are none.
        delimiter: between the columns.
        names: of all columns; () where there is no header.
    """

    image: int
    category: int
    corners: tuple[int, ...]
    size: tuple[int, int] | None = None
    delimiter: str = ","
    names: tuple[str, ...] = ()


WITHOUT_HEADER = Columns(image=0, category=5, corners=(1, 2, 3, 4))
NUM_WITHOUT_HEADER = 6


@dataclass(frozen=True)
class Row:
    """An object, or an image without objects.

    Attributes:
        line: the number of the line in the file, from 1 on.
        image: the name of the image as the file has it.
        size: (width, height) of the image in px, as the file has it; None where it does not.
        category: the name of the category; "" for an image without objects.
        corners: left, top, right and bottom, px, counted from 0; () for an image without objects.
    """

    line: int
    image: str
    size: tuple[int, int] | None
    category: str
    corners: tuple[int | float, ...]


def columns_of(path: Path) -> Columns | None:
    """The columns of a file, from its first lines; None where it has none of boxes."""
    if not holds(path.is_file):
        return None
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return None
    encoding = "utf-16" if head.startswith(_UTF_16) else "utf-8-sig"
    lines = [line for line in _lines(head.decode(encoding, "replace")) if line.strip()]
    if not lines:
        return None
    for delimiter in _DELIMITERS:
        if columns := _of_header(lines[0], delimiter):
            return columns
    if any(_is_row(line) for line in lines[:MAX_ROWS]):
        return WITHOUT_HEADER
    return None


def is_empty(path: Path) -> bool:
    """Whether a file has no byte."""
    return holds(lambda: path.is_file() and path.stat().st_size == 0)


def _of_header(line: str, delimiter: str) -> Columns | None:
    try:
        given = tuple(_fields(line, delimiter))
    except CsvError:
        return None
    names = [re.sub(r"[\s-]+", "_", name.strip().lower()) for name in given]

    def place(*valid: str) -> int | None:
        return next((names.index(name) for name in valid if name in names), None)

    image, category = place(*IMAGE_COLUMNS), place(*CLASS_COLUMNS)
    corners = next((c for c in CORNER_COLUMNS if set(c) <= set(names)), None)
    if image is None or category is None or corners is None or place(*SCORE_COLUMNS) is not None:
        return None
    width, height = map(place, SIZE_COLUMNS)
    size = None if width is None or height is None else (width, height)
    return Columns(image, category, tuple(map(names.index, corners)), size, delimiter, given)


def _is_row(line: str) -> bool:
    """Whether a line is a row of a file without a header."""
    try:
        fields = _fields(line, ",")
        if len(fields) != NUM_WITHOUT_HEADER:
            return False
        row = _row(1, fields, WITHOUT_HEADER)
    except CsvError:
        return False
    return is_image_name(os.path.basename(row.image.replace("\\", "/")))


def read_rows(path: Path, columns: Columns) -> Iterator[Row | str]:
    """The rows of a file; in place of one that cannot be read, the words for it, with its line.

    Raises:
        CsvError: the file cannot be read.
    """
    try:
        if not path.is_file():
            raise CsvError("it is not a regular file")
        if path.stat().st_size > MAX_BYTES:
            raise CsvError(f"it has more than {MAX_BYTES // 2**20} MiB")
        data = path.read_bytes()
        if data.startswith(_UTF_16):
            raise CsvError("it is UTF-16 text; save it in UTF-8")
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise CsvError(f"cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        words = f"it is not UTF-8 text (byte {error.start}){seems_to_be(data)}; save it in UTF-8"
        raise CsvError(words) from error
    num_fields = len(columns.names) or NUM_WITHOUT_HEADER
    is_header = bool(columns.names)
    for number, line in enumerate(_lines(text), start=1):
        if not line.strip():
            continue
        if is_header:
            is_header = False
            continue
        try:
            fields = _fields(line, columns.delimiter)
            if len(fields) != num_fields:
                raise CsvError(f"it must have {num_fields} columns, has {len(fields)}")
            if any(field.strip() for field in fields):
                yield _row(number, fields, columns)
        except CsvError as error:
            yield f"line {number}: {error}"


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _fields(line: str, delimiter: str) -> list[str]:
    if len(line) > MAX_LINE:
        raise CsvError(f"it has more than {MAX_LINE} characters")
    if "\0" in line:
        raise CsvError("it has a zero byte")
    try:
        # One line at a time, so that a quote that is not closed spoils no other row.
        (fields,) = csv.reader([line], delimiter=delimiter, skipinitialspace=True, strict=True)
    except csv.Error as error:
        raise CsvError(f"it is not CSV ({error})") from error
    return fields


def _row(number: int, fields: list[str], columns: Columns) -> Row:
    fields = [field.strip() for field in fields]
    image, category = fields[columns.image], fields[columns.category]
    texts = [fields[place] for place in columns.corners]
    size = None
    if columns.size is not None:
        sides = [fields[place] for place in columns.size]
        size = None if set(sides) <= {"", "0"} else _size(sides)
    if not image:
        raise CsvError("it names no image")
    if not category and not any(texts):
        return Row(number, image, size, "", ())
    if not category:
        raise CsvError("it names no class")
    corners = tuple(map(_number, texts))
    if None in corners:
        raise CsvError(f"the corners must be four finite numbers, got {shown(texts)}")
    left, top, right, bottom = (value for value in corners if value is not None)
    if right < left or bottom < top:
        raise CsvError(f"xmax and ymax must not be below xmin and ymin, got {shown(texts)}")
    return Row(number, image, size, category, (left, top, right, bottom))


def _size(texts: list[str]) -> tuple[int, int]:
    width, height = map(_number, texts)
    if not isinstance(width, int) or not isinstance(height, int):
        raise CsvError(f"width and height must be whole numbers of px, got {shown(texts)}")
    return width, height


def _number(text: str) -> int | float | None:
    """A finite number, as an integer where it is one; None where the text is none."""
    try:
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return None
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() else value
