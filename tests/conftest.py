"""Fixtures and order of all tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from focal_star.mini import digits_in_scenes


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the files with slow tests first, so that no worker ends with one of them alone."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def _subnormals_as_before() -> Iterator[None]:
    """A training or evaluation flushes them in its whole process."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of 24 training and 8 validation images in COCO's format, none without objects."""
    folder = tmp_path_factory.mktemp("data") / "tiny"
    recipe = digits_in_scenes.Recipe(
        num_train=24, num_val=8, num_objects=(1, 8), height=(12.0, 72.0), aspect=2.5
    )
    digits_in_scenes.write(folder, recipe)
    return folder
