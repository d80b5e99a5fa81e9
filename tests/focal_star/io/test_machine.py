import platform
from pathlib import Path

import numpy as np
import pytest

from focal_star.io.machine import cpu_name, package_version


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (
            "processor : 0\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: Another\n",
            "Some CPU @ 2 GHz",
        ),
        ("processor : 0\nCPU part : 0xd0c\n", ""),
    ],
)
def test_the_first_model_name_is_the_processors(monkeypatch, text, name):
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: text)
    assert cpu_name() == name


def test_without_the_file_it_is_the_name_that_python_knows(monkeypatch):
    def refuse(*_, **__):
        raise OSError

    monkeypatch.setattr(Path, "read_text", refuse)
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    assert cpu_name() == "arm"


def test_a_package_that_is_not_installed_has_no_version():
    assert package_version("numpy") == np.__version__
    assert package_version("no-such-package") == ""
