"""``python -m focal_star.prepare``: makes what stands before the cells of a study.

The data set is composed or checked, the backbone pretrained, and what identifies them is written
to a JSON file: ``dataset`` (name, folder, sha256, categories, counts of ``train`` and ``val``),
``weights`` (path, sha256, accuracy of the pretraining) and ``config_sha256``.
"""

import argparse
import hashlib
import json
import logging
import sys
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode

from focal_star.config import ConfigError, load_config
from focal_star.data.checks import DatasetError, describe, joined_sha256, splits_of
from focal_star.engine import prepare


def describe_prepared(cfg: CfgNode) -> dict[str, Any]:
    """:func:`focal_star.engine.prepare`, with a description of what it made."""
    made = prepare(cfg)
    folder = made["folder"]
    dataset = {"name": cfg.DATASETS.TRAIN[0].removesuffix("_train"), "folder": "", "sha256": ""}
    if folder:
        cards = {split.name: describe(split) for split in splits_of(folder)}
        dataset["folder"] = str(folder)
        dataset["sha256"] = joined_sha256(card["sha256"] for card in cards.values())
        for name, card in cards.items():  # the check saw to it that both have the same categories
            dataset["categories"] = card.pop("category_names")
            dataset[name] = card
    return {
        "dataset": dataset,
        "weights": made["weights"],
        "config_sha256": _config_sha256(cfg),
    }


def _config_sha256(cfg: CfgNode) -> str:
    """SHA-256 of the resolved config without what is not the config's: paths and the seed."""
    cfg = cfg.clone()
    cfg.defrost()
    cfg.OUTPUT_DIR = cfg.CACHE_DIR = cfg.DATASETS.FOLDER = cfg.MODEL.WEIGHTS = ""
    cfg.SEED = -1
    return hashlib.sha256(cfg.dump(sort_keys=True).encode()).hexdigest()


def main(argv: list[str] | None = None) -> int:
    """Return 0, or 2 where the config or the data set cannot be used (it says why)."""
    parser = argparse.ArgumentParser(prog="python -m focal_star.prepare", description=__doc__)
    parser.add_argument("--config-file", required=True)
    parser.add_argument("--json", type=Path, required=True, help="the file to write")
    parser.add_argument("opts", nargs=argparse.REMAINDER, help="KEY VALUE pairs")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("focal_star").setLevel(logging.INFO)
    try:
        prepared = describe_prepared(load_config(options.config_file, options.opts))
    except (ConfigError, DatasetError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    temporary = options.json.with_suffix(".tmp")
    temporary.write_text(json.dumps(prepared, indent=1), encoding="utf-8")
    temporary.replace(options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
