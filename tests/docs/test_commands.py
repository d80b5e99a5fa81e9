"""The commands of the READMEs and docs/ are run; those that cannot run here are planned."""

import re
import shlex
from itertools import dropwhile

import pytest

from focal_star.config import load_config
from tests.docs.pages import PAGES, ROOT, Command, commands

pytestmark = pytest.mark.slow

COMMANDS = commands()
SYNOPSIS = re.compile(r"\[|\.\.\.")
"""A synopsis of options, which is not a command."""

MISSING_HERE = {"make doctor STUDY=coco": 2}
"""Command -> its exit code without COCO and without a GPU."""


def is_run(command: Command) -> bool:
    return command.is_run and not SYNOPSIS.search(command.text.replace("['", "").replace("'.[", ""))


def names(command: Command) -> str:
    return command.text


def test_every_command_block_is_read():
    """A block without a language, or with another one, is not read."""
    for page in PAGES:
        pieces = re.split(r"^```(.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
        fences, texts = pieces[1::2], pieces[2::2]
        assert len(fences) % 2 == 0 and set(fences[1::2]) <= {""}, page
        for language, text in zip(fences[::2], texts[::2], strict=True):
            assert language in ("sh", "python", "yaml", "latex", ""), page
            if not language:
                assert not re.search(r"^(make|python) ", text, re.MULTILINE), page


@pytest.mark.parametrize("command", [one for one in COMMANDS if is_run(one)], ids=names)
def test_a_command_runs(command, trained):
    ran = trained.run(command.text)
    assert ran.code == MISSING_HERE.get(command.text, 0), ran.text
    assert "Traceback" not in ran.text


@pytest.mark.parametrize(
    "command", [command for command in COMMANDS if not is_run(command)], ids=names
)
def test_a_command_that_is_not_run_is_planned(command, checkout):
    line = command.text.splitlines()[-1]
    program, *words = dropwhile(lambda word: "=" in word, shlex.split(line))
    if program == "rsync":
        return
    if program == "make":
        dry = checkout.run(f"make -n {shlex.join(words)}")
        assert dry.code == 0, dry.text
        if words[0] == "ablations":
            planned = checkout.run(line.replace("make ablations", "make plan"))
            assert planned.code == 0, planned.text
            assert "cells requested" in planned.text
        return
    assert program == "python", line
    program = shlex.join([*words[: 1 + (words[0] == "-m")], *subcommand(words)])
    asked = checkout.run(f"python {program} -h")
    assert asked.code == 0, asked.text
    for flag in re.findall(r"(?<=[\s\[])--[a-z-]+", line):
        assert flag in asked.text, flag
    if words[0] == "projects/focal_star/train_net.py":
        file = words[words.index("--config-file") + 1]
        keys = words[words.index("--config-file") + 2 :]
        load_config(ROOT / file, keys)


def subcommand(words: list[str]) -> list[str]:
    """For example ``fetch`` of ``python -m focal_star.data fetch``."""
    return [word for word in words[2:3] if words[0] == "-m" and word.isalpha()]


def test_failing_command_is_detected(checkout):
    """The tests above would fail for a name that does not exist."""
    assert checkout.run("make plan GRIDS=gama").code != 0
    assert checkout.run("make -n plans").code != 0
