"""Links, make targets, modules, config keys and messages in the READMEs and docs/ exist.

tests/docs runs their commands.
"""

import ast
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from focal_star import __version__
from focal_star.config import CONFIGS, load_config
from focal_star.losses import LOSSES
from focal_star.losses.fused import FUSED
from focal_star.mini import digits_in_scenes

ROOT = Path(__file__).resolve().parents[1]
READMES = [ROOT / "README.md", ROOT / "projects" / "focal_star" / "README.md"]
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [*READMES, ROOT / "CONTRIBUTING.md", *DOCS]
VARIES = "…"


@pytest.fixture(params=PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def page(request) -> Path:
    return request.param


def test_links_lead_to_files(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    links = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", text)
    assert links or page in DOCS
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_links_into_a_page_lead_to_a_heading(page):
    links = re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", page.read_text(encoding="utf-8"))
    for file, anchor in links:
        target = page.parent / file if file else page
        assert anchor in anchors(target), f"{file}#{anchor}"


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of its headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.replace("\\*", "")) for heading in headings)
    return {heading.strip().lower().replace(" ", "-") for heading in plain}


def test_every_table_has_a_header(page):
    """A blank line within a table would end it, and show the rest as text."""
    starts = re.findall(r"(?<=\n\n)(\|.*)\n(.*)", page.read_text(encoding="utf-8"))
    assert [row for row, below in starts if not re.fullmatch(r"[| :-]+", below)] == []


def test_the_index_of_docs_is_complete():
    linked = re.findall(r"\]\((\w+\.md)\)", (ROOT / "docs" / "README.md").read_text("utf-8"))
    assert sorted(["README.md", *linked]) == [path.name for path in DOCS]


def test_make_targets_and_variables_exist(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"(?:^|`)make ([a-z]+)((?: [A-Z]+=(?:\"[^\"]*\"|\S*))*)", text, re.MULTILINE)
    assert named or page not in (READMES[0], ROOT / "docs" / "first_run.md")
    for target, variables in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
        for variable in re.findall(r" ([A-Z]+)=", variables):
            assert re.search(rf"^{variable} \??=", makefile, re.MULTILINE), variable


def test_modules_and_files_of_commands_exist(page):
    text = page.read_text(encoding="utf-8")
    for module in re.findall(r"python -m ([\w.]+)", text):
        assert find_spec(module), module
    for path in re.findall(r"(?:python|--config-file) (projects/\S+)", text):
        assert (ROOT / path).is_file(), path


def test_config_keys_exist(page):
    cfg = load_config("", ["EXTENSIONS", "['mini']"])
    parts = "MODEL|SOLVER|TEST|DATASETS|INPUT|DATALOADER|PRETRAINING"
    keys = re.findall(rf"\b((?:{parts})(?:\.[A-Z_0-9]+)+)\b(?!\*)", page.read_text("utf-8"))
    assert keys or page not in READMES
    for key in keys:
        node = cfg
        for part in key.split("."):
            assert part in node, key
            node = node[part]


def test_the_table_of_losses_is_complete():
    """It lists the losses of the project; a user's loss needs no line in the table."""
    rows = re.findall(r"^\| `(\w+)` \|", READMES[1].read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == list(LOSSES)[: len(FUSED)]
    assert set(rows) == set(FUSED)


def test_the_changelog_has_this_version():
    assert f"\n## {__version__}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_troubleshooting_messages_exist_in_the_code():
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    messages = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert len(messages) > 15
    for message in messages:
        assert any(message in text for text in printed()), message


@cache
def printed() -> list[str]:
    """Every text in the sources and in the Makefile, with VARIES for each inserted value."""
    files = [
        path
        for folder in ("ablations", "install", "projects", "reports")
        for path in (ROOT / folder).rglob("*.py")
    ]
    texts = [(ROOT / "Makefile").read_text(encoding="utf-8")]
    texts[0] = re.sub(r"\$\(or \$\(PYTHON\),(\w+)\)", r"\1", texts[0])
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr | ast.Constant):
                texts.append(_text(node))
            elif isinstance(node, ast.BinOp):  # texts joined by +
                texts.append(_text(node.left) + _text(node.right))
    return texts


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.Constant):
        found = node.value if isinstance(node.value, str) else VARIES
        return re.sub(r"%(?:\.\d)?[a-z]", VARIES, found)
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_text, node.values))
    if isinstance(node, ast.BinOp):
        return _text(node.left) + _text(node.right)
    return VARIES


def test_the_differences_of_the_mini_study_match_its_config():
    page = (ROOT / "docs" / "differences.md").read_text(encoding="utf-8")
    cfg = load_config(CONFIGS / "mini" / "retinanet_R_18_FPN.yaml")
    recipe = digits_in_scenes.Recipe()
    clip = cfg.SOLVER.CLIP_GRADIENTS.CLIP_VALUE
    for text in (
        f"{cfg.MODEL.RETINANET.NUM_CLASSES} categories, {recipe.num_train:,} training and "
        f"{recipe.num_val} validation images",
        f"ResNet-{cfg.MODEL.RESNETS.DEPTH} and -34 of width {cfg.MODEL.RESNETS.RES2_OUT_CHANNELS}, "
        f"FPN of {cfg.MODEL.FPN.OUT_CHANNELS}, {cfg.MODEL.RETINANET.NUM_CONVS} convolution",
        f"from {cfg.MODEL.ANCHOR_GENERATOR.SIZES[0][0]:g} px on",
        f"{cfg.SOLVER.OPTIMIZER}, cosine; 1x is {cfg.SOLVER.MAX_ITER} iterations of "
        f"{cfg.SOLVER.IMS_PER_BATCH}",
        f"norm {clip:g}, for all losses",
    ):
        assert text in page, text
