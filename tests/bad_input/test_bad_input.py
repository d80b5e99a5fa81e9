"""Every kind of bad input is refused with a message, without a traceback, and unchanged."""

import hashlib
import shutil
import stat
from pathlib import Path

import pytest

from tests.bad_input import bad_checkpoints, bad_configs, bad_data, bad_studies
from tests.bad_input.table import KINDS


@pytest.fixture(scope="session")
def sound(tmp_path_factory) -> Path:
    """A folder with valid input of every sort."""
    folder = tmp_path_factory.mktemp("sound") / "input"
    folder.mkdir()
    bad_data.write(folder / "data")
    for sort in (bad_configs, bad_studies, bad_checkpoints):
        sort.write(folder)
    return folder


@pytest.fixture
def given(sound, tmp_path, monkeypatch) -> Path:
    """A copy of ``sound``, to be damaged; the working directory is empty."""
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    return Path(shutil.copytree(sound, tmp_path / "input"))


def look_of(folder: Path) -> dict[str, tuple]:
    """Path -> its mode, and its content or link target."""
    found = {}
    for path in sorted(folder.rglob("*")):
        about = path.lstat()
        content = ""
        if stat.S_ISREG(about.st_mode):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        elif path.is_symlink():
            content = str(path.readlink())
        found[str(path.relative_to(folder))] = (about.st_mode, about.st_mtime_ns, content)
    return found


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.filterwarnings("ignore:Image size:PIL.Image.DecompressionBombWarning")
def test_bad_input_is_refused_with_a_message_and_unchanged(given, tmp_path, capfd, name):
    kind = KINDS[name]
    kind.spoil(given)
    before = look_of(given)
    try:
        code = kind.command(given, tmp_path / "output")
    except SystemExit as end:
        code = end.code
    said = "".join(capfd.readouterr())
    assert code in (1, 2), f"it ended with {code}, and said: {said}"
    flat = " ".join(said.split())  # the terminal's width breaks lines
    assert [words for words in kind.words if " ".join(words.split()) not in flat] == [], said
    assert "Traceback" not in said and len(said) < 20_000
    assert look_of(given) == before
    assert list((tmp_path / "empty").iterdir()) == [], "no code was run"


def test_valid_input_is_accepted(given, tmp_path):
    output = tmp_path / "output"
    assert bad_data.check_data(given, output) == 0
    assert bad_configs.read_config(given, output) == 0
    assert bad_studies.plan()(given, output) == 0
    assert bad_checkpoints.show()(given, output) == 0


def test_code_in_a_trusted_checkpoint_runs(given, tmp_path, capfd):
    KINDS["checkpoint: code in it"].spoil(given)
    assert bad_checkpoints.show("--trust-checkpoints")(given, tmp_path / "output") == 2
    assert (tmp_path / "empty" / "made-by-a-pickle").is_dir(), "or the table would not see it"


def test_number_of_kinds():
    assert len(KINDS) >= 40
    sorts = {name.partition(":")[0] for name in KINDS}
    assert sorts >= {
        "annotations", "box", "category", "image", "config", "override", "grid", "study", "record",
        "checkpoint", "photograph", "argument", "make", "environment",
    }  # fmt: skip
