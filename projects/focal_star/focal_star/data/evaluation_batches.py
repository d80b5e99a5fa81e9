"""The batches of an evaluation."""

from collections.abc import Iterator
from itertools import groupby, islice
from typing import Any

from detectron2.data import DatasetCatalog, DatasetFromList, MapDataset
from detectron2.data.build import trivial_batch_collator
from detectron2.data.samplers import InferenceSampler

from focal_star.data.loader import EndingLoader
from focal_star.data.mapper import BoxMapper


def test_batches(
    dataset_name: str, mapper: BoxMapper, batch_size: int, num_single: int, num_workers: int
) -> EndingLoader:
    """All images of a data set once, this process's share of them.

    Args:
        dataset_name: the name of a registered data set.
        mapper: turns Detectron2's record of an image into the model's input.
        batch_size: maximum number of images per batch. The images of a batch are consecutive and
            have one size, so that none is padded.
        num_single: number of images at the beginning that get a batch of their own.
        num_workers: processes that read images; 0: this process reads them.
    """
    records = DatasetCatalog.get(dataset_name)
    indices = list(InferenceSampler(len(records)))
    batches = [[index] for index in indices[:num_single]]
    batches += _of_one_size(records, indices[num_single:], batch_size)
    return EndingLoader(
        MapDataset(DatasetFromList(records, copy=False), mapper),
        batch_sampler=batches,
        num_workers=num_workers,
        collate_fn=trivial_batch_collator,
    )


def _of_one_size(
    records: list[dict[str, Any]], indices: list[int], batch_size: int
) -> Iterator[list[int]]:
    def size(index: int) -> tuple[int, int]:
        return records[index]["height"], records[index]["width"]

    for _, group in groupby(indices, key=size):
        while batch := list(islice(group, batch_size)):
            yield batch
