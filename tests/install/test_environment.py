"""What the set-up does with a `.venv` that somebody else put there, and with pip's variables."""

import subprocess
import sys
from pathlib import Path

import pytest

from install import __main__ as program
from install.environment import Environment, SetupError

WORDS = "is not this project's to replace.*make setup PYTHON="


@pytest.fixture
def ours(tmp_path: Path, offline: dict[str, str]) -> Environment:
    """The environment that a set-up makes in a folder with a space and letters beyond ASCII."""
    root = tmp_path / "añ ö"
    return Environment(root / ".venv" / "bin" / "python", True, root / "log", offline)


@pytest.fixture
def folder(ours: Environment) -> Path:
    """The place of `.venv`."""
    path = ours.python.parent.parent
    path.parent.mkdir()
    return path


def test_a_link_to_a_folder_that_is_no_environment_stays_as_it_is(
    ours: Environment, folder: Path, tmp_path: Path
) -> None:
    """`venv --clear` would empty the folder that the link leads to."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "pyvenv.cfg").write_text("of an old Python")
    folder.symlink_to(tmp_path / "theirs")
    with pytest.raises(SetupError, match=WORDS):
        ours.make()
    assert (tmp_path / "theirs" / "pyvenv.cfg").read_text() == "of an old Python"


def test_a_folder_of_other_files_stays_as_it_is(ours: Environment, folder: Path) -> None:
    folder.mkdir()
    (folder / "notes.txt").write_text("theirs")
    with pytest.raises(SetupError, match=WORDS):
        ours.make()
    assert (folder / "notes.txt").read_text() == "theirs"


def test_a_file_is_named(ours: Environment, folder: Path) -> None:
    folder.write_text("theirs")
    with pytest.raises(SetupError, match=WORDS):
        ours.make()


@pytest.mark.slow
@pytest.mark.parametrize("left", [[], ["bin"], ["bin", "pyvenv.cfg"]])
def test_what_an_interrupted_set_up_left_is_replaced(
    ours: Environment, folder: Path, left: list[str]
) -> None:
    for name in left:
        (folder / name).mkdir(parents=True)
    if "pyvenv.cfg" in left:
        (folder / "pyvenv.cfg").rmdir()
        (folder / "pyvenv.cfg").touch()
    ours.make()
    assert ours.look()["prefix"] == str(folder)


def test_pip_installs_into_venv_whatever_its_variables_say(tmp_path: Path) -> None:
    elsewhere = {f"PIP_{name}": "1" for name in ("TARGET", "PREFIX", "ROOT", "USER", "PYTHON")}
    environ = {**elsewhere, "PIP_INDEX_URL": "site"}
    ours = Environment(Path(sys.executable), True, tmp_path / "log", environ)
    assert not ours.environ.keys() & elsewhere.keys() and ours.environ["PIP_INDEX_URL"] == "site"
    theirs = Environment(Path(sys.executable), False, tmp_path / "log", environ)
    assert theirs.environ.items() >= environ.items()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / program.RECORDS).write_text("in the way of the records' folder")
    call = (
        "import sys; from pathlib import Path; from install import __main__ as program;"
        "program.ROOT = Path(sys.argv[1]); sys.exit(program.main([]))"
    )
    root = Path(__file__).resolve().parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", call, tmp_path], cwd=root, capture_output=True, text=True
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"make setup: {tmp_path / program.RECORDS}: ")
    assert "Traceback" not in ran.stderr
