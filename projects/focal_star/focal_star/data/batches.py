"""The training batches, as an endless stream that can be resumed at any batch.

Detectron2's loader starts its stream anew, groups images by aspect ratio after they were read, and
leaves random numbers to worker processes that read ahead. Here the stream consists of indices, so
that resuming skips batches without reading their images.
"""

import itertools
import weakref
from collections.abc import Generator, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetFromList, DatasetMapper, MapDataset
from detectron2.utils import comm
from detectron2.utils.env import seed_all_rng
from torch.utils.data import Dataset

from focal_star.compat import train_loader_parts
from focal_star.data.loader import EndingLoader
from focal_star.data.mapper import Mapper
from focal_star.errors import ConfigError


class TrainBatches:
    """The batches of one process, the same ones whether or not the training was interrupted.

    With ``num_workers`` 0, random augmentation draws from the process's own generators. With more,
    each batch is seeded by the training's seed, the process's rank and the batch's number, so that
    the number of workers does not matter.
    """

    def __init__(self, cfg: CfgNode, mapper: DatasetMapper):
        """
        Args:
            cfg: its data sets, sampler, batch size, grouping and workers are those of Detectron2.
            mapper: turns Detectron2's record of an image into the model's input.

        Raises:
            ConfigError: a batch cannot be shared out among the processes.
        """
        batch_size, num_processes = cfg.SOLVER.IMS_PER_BATCH, comm.get_world_size()
        if batch_size % num_processes:
            raise ConfigError(
                f"SOLVER.IMS_PER_BATCH is {batch_size}; valid: a multiple of the number of "
                f"processes, {num_processes}"
            )
        parts = train_loader_parts(cfg, mapper=mapper)
        self.records = records = parts["dataset"]
        self._dataset = DatasetFromList(records, copy=False)
        self.position = 0
        """Number of batches that are skipped before the first."""
        self._sampler = parts["sampler"]
        self._batch_size = batch_size // num_processes
        self._is_wide = None
        if parts["aspect_ratio_grouping"]:
            self._is_wide = [record["width"] > record["height"] for record in records]
        self._num_workers = parts["num_workers"]
        self._seed = [torch.initial_seed(), comm.get_rank()] if self._num_workers else None
        self._streams: weakref.WeakSet[Generator] = weakref.WeakSet()
        self.map_by(mapper)

    def map_by(self, mapper: Mapper) -> None:
        """Use another mapper from the next iteration over the batches on."""
        self.mapper = mapper
        images = MapDataset(self._dataset, mapper)
        self._batches = _NumberedBatches(images, self._seed)

    def __iter__(self) -> Iterator[list[dict[str, Any]]]:
        stream = self._stream()
        self._streams.add(stream)
        return stream

    def close(self) -> None:
        """End all iterations over the batches, and the processes that read ahead for them."""
        for stream in list(self._streams):
            stream.close()

    def _stream(self) -> Generator[list[dict[str, Any]], None, None]:
        numbered = enumerate(batches_of(self._sampler, self._batch_size, self._is_wide))
        yield from EndingLoader(
            self._batches,
            batch_size=None,
            sampler=itertools.islice(numbered, self.position, None),
            num_workers=self._num_workers,
            collate_fn=_unchanged,
            generator=torch.Generator(),  # its own: a new loader draws a number
        )


def batches_of(
    indices: Iterable[int], batch_size: int, is_wide: list[bool] | None = None
) -> Iterator[list[int]]:
    """Cut a stream of indices into batches.

    Args:
        indices: the indices of images.
        batch_size: images in a batch.
        is_wide: for each image, whether it is wider than high: a batch then has only images that
            are, or only images that are not, and is yielded once it is full.
    """
    groups: dict[bool, list[int]] = {False: [], True: []}
    for index in indices:
        group = groups[is_wide is not None and is_wide[index]]
        group.append(index)
        if len(group) == batch_size:
            yield group[:]
            group.clear()


class _NumberedBatches(Dataset):
    """(number, indices of images) -> the images, mapped."""

    def __init__(self, images: MapDataset, seed: list[int] | None):
        self._images, self._seed = images, seed

    def __getitem__(self, numbered: tuple[int, list[int]]) -> list[dict[str, Any]]:
        number, indices = numbered
        if self._seed is not None:
            seed_all_rng(int(np.random.SeedSequence([*self._seed, number]).generate_state(1)[0]))
        return [self._images[index] for index in indices]


def _unchanged(batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return batch
