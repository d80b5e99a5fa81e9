"""The folder of a study; no two data sets share one."""

from pathlib import Path

import pytest

from ablations.storage import layout as layouts
from ablations.storage.json_files import write_json
from ablations.storage.layout import Layout


@pytest.fixture
def output(tmp_path, monkeypatch):
    monkeypatch.setattr(layouts, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    return Path("output")


@pytest.fixture
def run_on(output, tmp_path):
    """A function that writes the study file of a run and returns the folder's name."""

    def run_on(dataset=None, study="mini"):
        if dataset:
            (tmp_path / dataset).mkdir(parents=True, exist_ok=True)
        layout = Layout.of(output, study, Path(dataset) if dataset else None)
        write_json(layout.study, {"study": study, "dataset": dataset or ""})
        return layout.root.name

    return run_on


def test_data_sets_with_the_same_name_have_their_own_folders(run_on):
    names = [run_on(f"{parent}/VOCdevkit") for parent in ("a", "b", "c")]
    assert names[0] == "mini-VOCdevkit" and len(set(names)) == 3
    assert all(name.startswith("mini-VOCdevkit-") and len(name) == 21 for name in names[1:])
    assert [run_on(f"{parent}/VOCdevkit") for parent in ("c", "b", "a")] == names[::-1]


def test_equivalent_paths_share_a_folder(run_on, tmp_path, output):
    name = run_on("a/VOCdevkit")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    for path in (tmp_path / "a/VOCdevkit", Path("a/../a/VOCdevkit/"), Path("link/VOCdevkit")):
        assert Layout.of(output, "mini", path).root.name == name


def test_name_clash_between_a_study_and_a_data_set(run_on):
    own = run_on("a/own")
    assert run_on(study="mini-own") != own == "mini-own"
    assert run_on() == "mini"


def test_a_data_set_that_was_moved_keeps_its_folder(run_on, tmp_path, output):
    assert run_on("a/VOCdevkit") == "mini-VOCdevkit"
    (tmp_path / "a").rename(tmp_path / "elsewhere")
    assert run_on("elsewhere/VOCdevkit") == "mini-VOCdevkit"
    # One that has a folder keeps to it, whatever becomes of the other.
    other = run_on("b/VOCdevkit")
    (tmp_path / "elsewhere").rename(tmp_path / "unmounted")
    assert run_on("b/VOCdevkit") == other != "mini-VOCdevkit"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"study": "mini"}', "\x00"])
def test_folder_with_a_broken_study_file_has_no_owner(run_on, output, tmp_path, text):
    run_on("a/VOCdevkit")
    (output / "mini-VOCdevkit" / "study.json").write_text(text)
    assert Layout.of(output, "mini", tmp_path / "b/VOCdevkit").root.name == "mini-VOCdevkit"
