"""The commands and snippets of the documentation, as a reader sees them.

A comment above a block may say what the tests do with it:

* ``<!-- not run: WORDS, WORDS (why) -->``: commands with any of these words are not run;
* ``<!-- test: ... -->``: the block is not a command; a separate test uses it.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = sorted((ROOT / "docs").glob("*.md"))
READMES = [ROOT / "README.md", ROOT / "projects" / "focal_star" / "README.md"]
PAGES = [*READMES, ROOT / "CONTRIBUTING.md", *DOCS]

SHELL = ("sh", "bash", "console")

_BLOCK = re.compile(
    r"(?:^<!-- (?P<note>[^>]*?) -->\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.M | re.S
)
_ENDS_IN_COMMENT = re.compile(r"\s{2,}# .*$", re.M)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: the file that contains it.
        kind: the language of the fence.
        text: its content.
        note: the text of the comment above it.
    """

    page: Path
    kind: str
    text: str
    note: str

    @property
    def commands(self) -> list["Command"]:
        """The commands: a line that ends in a backslash is joined with the next one, and a line
        that sets a variable belongs to the command after it."""
        whole = _ENDS_IN_COMMENT.sub("", self.text).replace("\\\n", " ")
        left_out = re.match(r"not run: (.*?)(?: \(.*\))?$", self.note, re.DOTALL)
        words = left_out[1].split(", ") if left_out else []
        found, before = [], ""
        for line in filter(None, map(str.strip, whole.splitlines())):
            line = re.sub(r"\s+", " ", line)
            if re.match(r"(export )?[A-Z_0-9]+=\S*$", line):
                before += line + "\n"
                continue
            found.append(Command(before + line, self.page, not any(w in line for w in words)))
            before = ""
        return found


@dataclass(frozen=True)
class Command:
    """A command of a page, and whether it is run."""

    text: str
    page: Path
    is_run: bool


def blocks(page: Path, *kinds: str) -> list[Block]:
    """The fenced blocks of a page in one of these languages."""
    found = _BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [
        Block(page, one["kind"], one["text"], one["note"] or "")
        for one in found
        if one["kind"] in kinds
    ]


def commands() -> list[Command]:
    """All distinct commands, in the order of the pages."""
    found = [c for page in PAGES for block in blocks(page, *SHELL) for c in block.commands]
    return list({command.text: command for command in found}.values())


def marked(page: str | Path, note: str) -> str:
    """The text of the one block with this note; ``page`` is a path, or a name in ``docs``."""
    (found,) = [
        block.text
        for block in blocks(ROOT / "docs" / page, "python", "yaml")
        if block.note == f"test: {note}"
    ]
    return found
