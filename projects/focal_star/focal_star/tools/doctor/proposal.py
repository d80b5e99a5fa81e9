"""What fits a data set better than the values of a config: input scale, anchors, schedule."""

import json
from collections.abc import Sequence
from pathlib import Path

from detectron2.data import MetadataCatalog

from focal_star import extensions
from focal_star.config import load_config
from focal_star.data.registration import register_datasets
from focal_star.extensions import Proposed

NOTHING = Proposed((), "the settings of the config are used as they are")


def proposed_for(config_file: str, overrides: Sequence[str]) -> Proposed:
    """What the extensions of a config propose for its training data.

    The result depends on the config and the annotations alone.

    Args:
        config_file: the config.
        overrides: ``KEY VALUE`` pairs.

    Raises:
        ConfigError: the config cannot be used.
        DatasetError: the data set has problems; the message lists all.
    """
    cfg = load_config(config_file, overrides)
    register_datasets(cfg)
    (name, *_) = cfg.DATASETS.TRAIN
    content = json.loads(Path(MetadataCatalog.get(name).json_file).read_text(encoding="utf-8"))
    for extension in extensions.load(cfg.EXTENSIONS):
        if proposed := extension.propose(cfg, content):
            return proposed
    return NOTHING
