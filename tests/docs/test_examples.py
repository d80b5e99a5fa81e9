"""The new loss and the new table of docs/ get their rows in the report."""

import re
import textwrap

import pytest

from tests.docs.pages import PAGES, ROOT, blocks, marked

pytestmark = pytest.mark.slow

SNIPPETS = [
    block for page in PAGES for block in blocks(page, "python") if not block.note.startswith("test")
]


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
