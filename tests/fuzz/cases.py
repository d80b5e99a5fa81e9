"""Cases for fuzzing the readers: valid documents with a few changes, damaged bytes, and noise.

All of it is drawn from a ``random.Random``. In the tests that is Hypothesis's, which makes a case
that fails small; in the soak it is Python's, which is ten times quicker.
"""

import json
import pickle
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

VALUES = [
    None, True, False, 0, 1, -1, 2, 3.5, -0.0, 1e-320, 1e300, 1e308, float("inf"), float("-inf"),
    float("nan"), 2**31, 2**63, -(2**63), 10**30, 10**400, "", " ", "0", "1", "1e999", "NaN", "nan",
    "null", "None", "..", ".", "/", "../../x", "/etc/hosts", "a\\b", "a\0b", "a\nb", "\ud800",
    "\u202e", "\ufeff", "é𝛼", "x" * 300, "%s%n{0}", "<script>", "'", '"', "ce", "focal", "AP",
    [], {}, [[]], [{}], {"": None}, {"a": {"b": []}}, [None], [1, 2, 3, 4], ["a"], [0, 0, 1, 1],
]  # fmt: skip
"""Values that replace a value of a document."""

JSON_TOKENS = [
    b"{", b"}", b"[", b"]", b",", b":", b'"', b'""', b"null", b"true", b"NaN", b"-Infinity", b"-",
    b"1e999", b"0.1", b"1", b"00", b"9" * 330, b"9" * 5000, b"\\u0000", b'"\\ud800"', b"\\",
    b"\x00",
    b"\xff", b"\xef\xbb\xbf", b"\xfe\xff", b"\xc3\x28", b"\n", b" ", b"[" * 30, b"[" * 2000,
    b'{"a":' * 30, b"//", b"/*", b"'", b"\xed\xa0\x80", b'"id":1,', b'"id":', b"{}", b"[]",
]  # fmt: skip

YAML_TOKENS = [
    *JSON_TOKENS, b"- ", b"? ", b": ", b"&a ", b"*a", b"*a, " * 9, b"<<: ", b"<<: *a\n",
    b"!!python/tuple ", b"!!binary ", b"!!timestamp ", b"!x ", b"!", b"!!int ", b"|\n  ", b">\n",
    b"---\n", b"...\n", b"%YAML 1.1\n",
    b"%TAG ! x\n", b"#", b"\t", b"~", b"yes", b"0o17", b"0x", b"1:60", b"2001-99-99", b"2001-01-01",
    b"=", b".inf", b".nan", b"@", b"`", b"- - - - - ", b"{a: b}", b"rows:\n", b"title: t\n",
    b"columns: [alpha]\n", b"common: {", b"loss: ce", b"alpha: 0.5", b"reference: {alpha: 1}\n",
]  # fmt: skip

LABEL_TOKENS = [
    b"0 ", b"1 ", b"0.5 ", b".25 ", b"\n", b" ", b"\t", b"\r\n", b"-", b"1e999 ", b"nan ", b"inf ",
    b"-1 ", b"1e-400 ", b"0x1 ", b"1_0 ", b"9" * 400, b"9" * 5000, b"\x00", b"\xff",
    b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\x0b", b"\x1c",
    b"0 .5 .5 .25 .5\n", b"0 .1 .1 .2 .2 .3 .3\n", b",", b"cat ",
    b"\xd9\xa1 ", b"0.0 ", b"640 ",
]  # fmt: skip

CHARACTERS = [*"aA0 .,:-_/\\'\"{}[]", "\0", "\n", "\x7f", "é", "中", "\u2028", "\ud800", "𝛼"]

Place = tuple[Any, Any]
"""A list or an object, and the index or key in it."""


class Texts:
    """Contents of files.

    Called with a generator it returns one: of a changed document, of a damaged one, or noise.
    """

    def __init__(self, document: Any, tokens: Sequence[bytes], texts: Sequence[bytes] = ()):
        """
        Args:
            document: a valid one.
            tokens: pieces of the format that noise is made of.
            texts: valid files, to be damaged as well as ``document``.
        """
        self._pickled, self._tokens = pickle.dumps(document), tokens
        self._texts = [json.dumps(document).encode(), *texts]

    def __call__(self, random: Random) -> bytes:
        kind = random.randrange(8)
        if kind < 4:
            document = pickle.loads(self._pickled)
            change(random, document)
            return json.dumps(document).encode()
        if kind < 6:
            return damaged(random, random.choice(self._texts), self._tokens)
        if kind < 7:
            pieces = [random.choice(self._tokens) for _ in range(random.randrange(24))]
            return b"".join(pieces)
        return noise(random, 48)


def change(random: Random, document: Any) -> None:
    """Change a document in one to three places."""
    for _ in range(random.choice([1, 1, 2, 3])):
        places = list(_places(document))
        if places:
            container, key = random.choice(places)
            random.choice(CHANGES)(random, container, key, places)


def damaged(random: Random, text: bytes, tokens: Sequence[bytes]) -> bytes:
    """A file's bytes with one to three pieces removed, inserted or replaced."""
    content = bytearray(text)
    for _ in range(random.randrange(1, 4)):
        start = random.randrange(len(content) + 1)
        length = random.choice([0, 0, 1, 2, 9, 99, 10**6])
        piece = random.choice(tokens) if random.randrange(2) else noise(random, 6)
        content[start : start + length] = piece
    return bytes(content)


def noise(random: Random, most: int) -> bytes:
    """Random bytes, fewer than this number."""
    return bytes(random.randrange(256) for _ in range(random.randrange(most)))


def text(random: Random, most: int = 8) -> str:
    """A random text with fewer characters than this number."""
    return "".join(random.choice(CHARACTERS) for _ in range(random.randrange(most)))


def number(random: Random) -> int | float:
    """A random number, of any magnitude."""
    mantissa = random.randrange(-999, 1000)
    return mantissa * 10 ** random.randrange(20) if random.randrange(2) else mantissa * 2.0**-7


def _replace(random: Random, container: Any, key: Any, places: list[Place]) -> None:
    container[key] = _copy(random.choice(VALUES))


def _make_up(random: Random, container: Any, key: Any, places: list[Place]) -> None:
    kind = random.randrange(3)
    if kind == 0:
        container[key] = number(random)
    elif kind == 1:
        container[key] = text(random)
    else:
        container[key] = [number(random) for _ in range(random.randrange(5))]


def _remove(random: Random, container: Any, key: Any, places: list[Place]) -> None:
    del container[key]


def _take_from_elsewhere(random: Random, container: Any, key: Any, places: list[Place]) -> None:
    other, other_key = random.choice(places)
    container[key] = _copy(other[other_key])


def _repeat(random: Random, container: Any, key: Any, places: list[Place]) -> None:
    if isinstance(container, list):
        container.insert(key, _copy(container[key]))
    else:
        container[str(random.choice(VALUES[:46]))] = _copy(container[key])


def _wrap(random: Random, container: Any, key: Any, places: list[Place]) -> None:
    for _ in range(random.choice([1, 1, 2, 30, 100])):
        container[key] = [container[key]]


def _turn_to_text(random: Random, container: Any, key: Any, places: list[Place]) -> None:
    if not isinstance(container[key], dict | list):
        container[key] = str(container[key])


CHANGES: list[Callable[[Random, Any, Any, list[Place]], None]] = [
    _replace, _replace, _make_up, _remove, _take_from_elsewhere, _repeat, _wrap, _turn_to_text,
]  # fmt: skip


def _places(document: Any) -> Iterator[Place]:
    keys = list(document) if isinstance(document, dict) else range(len(document))
    for key in keys:
        yield document, key
        if isinstance(document[key], dict | list):
            yield from _places(document[key])


def _copy(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value)) if isinstance(value, dict | list) else value
