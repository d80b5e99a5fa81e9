"""What the READMEs name is there: links, make targets, modules, config keys."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from focal_star import __version__
from focal_star.config import load_config
from focal_star.losses import LOSSES

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "projects" / "focal_star" / "README.md"]


@pytest.fixture(params=PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def page(request) -> Path:
    return request.param


def test_links_lead_to_files(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_make_targets_and_variables_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    text = PAGES[0].read_text(encoding="utf-8")
    targets = re.findall(r"^make (\w+)", text, re.MULTILINE)
    assert {"ablations", "test"} <= set(targets)
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for variable in re.findall(r"^make \w+ ([A-Z]+)=", text, re.MULTILINE):
        assert re.search(rf"^{variable} \??=", makefile, re.MULTILINE), variable


def test_modules_and_files_of_commands_exist(page):
    text = page.read_text(encoding="utf-8")
    for module in re.findall(r"python -m ([\w.]+)", text):
        assert find_spec(module), module
    for path in re.findall(r"(?:python|--config-file) (projects/\S+)", text):
        assert (ROOT / path).is_file(), path


def test_config_keys_exist(page):
    cfg = load_config("")
    keys = re.findall(
        r"\b((?:MODEL|SOLVER|TEST|DATASETS)(?:\.[A-Z_]+)+)\b", page.read_text("utf-8")
    )
    assert keys
    for key in keys:
        node = cfg
        for part in key.split("."):
            assert part in node, key
            node = node[part]


def test_the_table_of_losses_is_whole():
    rows = re.findall(r"^\| `(\w+)` \|", PAGES[1].read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == list(LOSSES)


def test_the_changelog_tells_of_this_version():
    assert f"\n## {__version__}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
