"""The commands and snippets of the READMEs and docs/ are run; what cannot run here is planned.

All tests are in one file, and so in one process: they share a copy of the checkout and its study.
"""

import re
import shlex
import textwrap
from itertools import dropwhile

import pytest

from focal_star.config import load_config
from tests.docs.pages import PAGES, ROOT, Command, blocks, commands, marked

pytestmark = pytest.mark.slow

COMMANDS = commands()
SYNOPSIS = re.compile(r"\[|\.\.\.")
"""A synopsis of options, which is not a command."""

SNIPPETS = [
    block for page in PAGES for block in blocks(page, "python") if not block.note.startswith("test")
]

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


def rows_of(report: str, first: str) -> list[str]:
    """The rows of the report's tables whose first column is this."""
    return re.findall(rf"^\| {re.escape(first)} +\|.*$", report, re.MULTILINE)


def test_a_new_loss_is_one_function_and_one_line():
    function = marked("own_loss.md", "losses/poly1.py")
    assert len(re.findall(r"^(?:def|class) ", function, re.MULTILINE)) == 1
    assert len(function.strip().splitlines()) <= 16
    assert len(marked("own_loss.md", "at the end of headline.yaml").splitlines()) == 1


def test_a_new_loss_has_its_row_in_the_report(trained):
    ran = trained.run("make ablations GRIDS=headline")
    assert ran.code == 0, ran.text
    row = rows_of(ran.report, "Poly-1")[0]
    assert "poly1-alpha0.25-gamma1-0.15x-seed1001.json" in row
    assert re.search(r"\| +\d+\.\d ± \d+\.\d \|", row), row
    assert "poly1 is brown" in ran.report


def test_a_new_table_is_in_the_report(trained):
    ran = trained.run("make ablations GRIDS=warm_prior")
    assert ran.code == 0, ran.text
    assert "## FL against FL\\* at two priors" in ran.report


@pytest.mark.parametrize("changed", [False, True])
def test_a_changed_loss_is_trained_again(trained, changed):
    """Only a change of the computation counts; a comment changes nothing."""
    losses = trained.root / "projects/focal_star/focal_star/losses/poly1.py"
    before = losses.read_text(encoding="utf-8")
    old = "        return softplus(-s) + gamma * torch.sigmoid(-s)\n"
    new = old.replace("gamma", "2 * gamma") if changed else f"        # as printed\n{old}"
    assert before.count(old) == 1
    try:
        losses.write_text(before.replace(old, new), encoding="utf-8")
        # One more space, so that it differs from the command that was run before.
        plan = trained.run(f"make plan  GRIDS=headline {'#' * (1 + changed)}").text
    finally:
        losses.write_text(before, encoding="utf-8")
    assert ("stale: poly1-alpha0.25-gamma1-0.15x-seed1001: loss" in plan) == changed, plan
    assert ("2 stale" in plan) == changed


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda block: str(block.page.relative_to(ROOT)))
def test_a_snippet_runs(snippet, checkout, tmp_path):
    """In the copy, which has the loss of docs/own_loss.md."""
    script = checkout.root / f"snippet_{SNIPPETS.index(snippet)}.py"
    script.write_text(textwrap.dedent(snippet.text), encoding="utf-8")
    ran = checkout.run(f"python {script.name}")
    assert ran.code == 0, ran.text
