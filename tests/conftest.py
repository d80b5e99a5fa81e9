"""What all tests share."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the slow tests last, so that a quick failure is seen quickly."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
