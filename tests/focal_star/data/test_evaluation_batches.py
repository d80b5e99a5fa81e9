"""The batches of an evaluation."""

import pytest
from detectron2.data import DatasetCatalog

from focal_star.data.evaluation_batches import test_batches as batches_of_test

SIZES = [(10, 20)] * 5 + [(20, 10)] * 2 + [(10, 20)] * 4


@pytest.fixture
def name():
    name = "images_of_two_sizes"
    records = [{"image_id": n, "height": h, "width": w} for n, (h, w) in enumerate(SIZES)]
    DatasetCatalog.register(name, lambda: records)
    yield name
    DatasetCatalog.remove(name)


def ids(name: str, **options) -> list[list[int]]:
    loader = batches_of_test(name, lambda record: record, num_workers=0, **options)
    return [[image["image_id"] for image in batch] for batch in loader]


def test_a_batch_has_images_of_one_size(name):
    found = ids(name, batch_size=3, num_single=0)
    assert found == [[0, 1, 2], [3, 4], [5, 6], [7, 8, 9], [10]]


def test_the_first_ones_are_alone(name):
    assert ids(name, batch_size=3, num_single=2) == [[0], [1], [2, 3, 4], [5, 6], [7, 8, 9], [10]]
    assert ids(name, batch_size=3, num_single=20) == [[n] for n in range(len(SIZES))]


def test_one_at_a_time_is_what_detectron2_does(name):
    assert ids(name, batch_size=1, num_single=0) == [[n] for n in range(len(SIZES))]
