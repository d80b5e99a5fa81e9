"""``python -m focal_star.tools.prepare``: prepares the data and initial weights of a study.

The data set is composed or checked, backbones are pretrained, and what identifies them is written
to a JSON file::

    {
      "config": the config with every key, as it resolves before any variant,
      "proposed": with --propose, see focal_star.extensions.Proposed,
      "dataset": name, folder ("" if Detectron2 knows the data set by name), sha256, categories,
                 and of ``train`` and ``val`` what is in them, annotation_file and image_root,
      "weights": {variant: path, sha256, and the accuracy of a pretraining made here, percent}
    }

A variant is a string of ``KEY VALUE`` pairs, quoted as in a shell, with which the study also trains
and which may need other initial weights. The default is the single variant "".
"""

import argparse
import hashlib
import json
import logging
import multiprocessing
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog

from focal_star import extensions
from focal_star.config import load_variants, resolve_config
from focal_star.data.catalog import describe_names, split_of
from focal_star.data.layouts.coco import splits_of
from focal_star.data.layouts.problems import DatasetError
from focal_star.data.layouts.split import Split
from focal_star.data.registration import image_options, register_datasets
from focal_star.data.validation.checks import require_valid
from focal_star.data.validation.description import dataset_sha256, describe, joined_sha256
from focal_star.errors import ConfigError
from focal_star.io.addresses import is_address
from focal_star.io.writing import write_whole
from focal_star.tools.doctor.arguments import add_config_arguments
from focal_star.tools.doctor.proposal import proposed_for
from focal_star.tools.doctor.requirements import require
from focal_star.training.engine import prepare_data_and_weights
from focal_star.training.initial_weights import fetch


def prepare_variants(cfgs: dict[str, CfgNode]) -> dict[str, Any]:
    """Make what some configs need, and describe it.

    Args:
        cfgs: variant -> its config; all of them on one data set.

    Returns:
        ``dataset`` and ``weights``, as the file has them.

    Raises:
        ConfigError: a variant is on another data set, or cannot be pretrained.
        DatasetError: the data set has problems; the message lists all.
    """
    weights, folders = {}, {}
    _pretrain_side_by_side(list(cfgs.values()))
    for variant, cfg in cfgs.items():
        made = prepare_data_and_weights(cfg)
        extensions.store(cfg)
        weights[variant] = _hashed(made["weights"])
        folders[made["folder"], cfg.DATASETS.TRAIN] = variant
    if len(folders) > 1:
        raise ConfigError(f"variants are on several data sets: {', '.join(map(repr, folders))}")
    ((folder, (train, *_)),) = folders
    dataset = {"name": train.removesuffix("_train"), "folder": str(folder or ""), "sha256": ""}
    cards = _cards(folder, next(iter(cfgs.values())))
    digests = [card["sha256"] for card in cards.values()]
    if all(digests):
        dataset["sha256"] = joined_sha256(digests)
    for name, card in cards.items():  # the check saw to it that both have the same categories
        dataset["categories"] = card.pop("category_names")
        dataset[name] = card
    return {"dataset": dataset, "weights": weights}


def _hashed(weights: dict[str, Any]) -> dict[str, Any]:
    """The weights with the hash of their file, if they are a file that was not made here."""
    path = Path(weights["path"])
    if weights["sha256"] or not path.is_file():
        return weights
    return weights | {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def _cards(folder: Path | None, cfg: CfgNode) -> dict[str, dict[str, Any]]:
    """Split -> what is in it, and where; of a folder, or of what Detectron2 knows by name."""
    if folder:
        cards = _valid_cards(folder, cfg)
        return {split.name: cards[split.name] | _places(split) for split in splits_of(folder)}
    names = {"train": cfg.DATASETS.TRAIN, "val": cfg.DATASETS.TEST}
    return {
        half: describe_names(names[half])
        | _places(*map(split_of, names[half]))
        | _subset_of(names[half])
        for half in names
        if names[half]
    }


def _subset_of(names: Sequence[str]) -> dict[str, Any]:
    """``subset``: what of, and which part, a split is; nothing where it is no part."""
    subsets = [about for name in names if (about := MetadataCatalog.get(name).get("subset"))]
    return {"subset": subsets[0]} if subsets else {}


def _valid_cards(folder: Path, cfg: CfgNode) -> dict[str, dict[str, Any]]:
    """The descriptions with all warnings; without those of the check where it fails, which a config
    may allow."""
    try:
        return require_valid(folder, image_options(cfg))[0]
    except DatasetError:
        return {split.name: describe(split, cfg.INPUT.BIT_DEPTH) for split in splits_of(folder)}


def _places(split: Split | None, *others: Split | None) -> dict[str, str]:
    """The files of a split; nothing where they are several, or not in COCO's format."""
    if others or split is None:
        return {}
    return {"annotation_file": str(split.annotation_file), "image_root": str(split.image_root)}


def _pretrain_side_by_side(cfgs: list[CfgNode]) -> None:
    """Compute the missing weights of several configs, each in its own process.

    The data set is written or checked once before that.
    """
    folder = register_datasets(cfgs[0])
    for cfg in cfgs:
        cfg.DATASETS.CHECK = False
    if folder is None:
        return
    sha256 = dataset_sha256(folder)
    makers = [(cfg, extensions.weights_maker(cfg)) for cfg in cfgs]
    missing = {maker.missing_weights(cfg, sha256): cfg for cfg, maker in makers if maker}
    missing.pop(None, None)
    if len(missing) > 1:
        spawning = multiprocessing.get_context("spawn")  # a fork would share torch's threads
        with ProcessPoolExecutor(len(os.sched_getaffinity(0)), spawning, _log) as pool:
            list(pool.map(prepare_data_and_weights, [cfg.clone() for cfg in missing.values()]))


def _log() -> None:
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("focal_star").setLevel(logging.INFO)


def main(argv: list[str] | None = None) -> int:
    """Return 0, or 2 where the config, the data set or the disk cannot be used (it says why)."""
    options = _parser().parse_args(argv)
    _log()
    try:
        content, overrides = {}, options.opts
        if options.propose:
            proposed = proposed_for(options.config_file, overrides)
            overrides = [*proposed.overrides, *overrides]
            content["proposed"] = asdict(proposed)
        content["config"] = resolve_config(options.config_file, overrides)
        if not options.resolve_only:
            variants = options.variant or [""]
            cfgs = load_variants(options.config_file, variants, overrides)
            require(list(cfgs.values()), options.num_gpus)
            content |= prepare_variants(cfgs)
            for address in {cfg.MODEL.WEIGHTS for cfg in cfgs.values()}:
                if is_address(address):
                    fetch(address)  # here, and not by each of the training runs at once
        write_whole(options.json, json.dumps(content, indent=1).encode())
    except (ConfigError, DatasetError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m focal_star.tools.prepare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_config_arguments(parser)
    parser.add_argument("--json", type=Path, required=True, help="the file to write")
    parser.add_argument(
        "--resolve-only",
        action="store_true",
        help="write only the config, and make nothing",
    )
    parser.add_argument(
        "--num-gpus", type=int, default=0, help="that this machine must have (default: not asked)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
