"""Which config keys a resumed training may change.

A training's config is in its checkpoints and in its ``result.json``, in the form of :func:`record`.
If a training is resumed with another config, each change is either used, and recorded with its
iteration, or refused.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode

from focal_star.config.checks import leaves
from focal_star.config.derived import plain_value
from focal_star.data.layouts.coco import is_coco, splits_of
from focal_star.errors import ConfigError
from focal_star.identity.keys_without_effect import KEYS_WITHOUT_EFFECT
from focal_star.identity.running_loss import loss_sha256
from focal_star.identity.sources import SHA256
from focal_star.io.file_hash import file_sha256
from focal_star.losses import LOSSES
from focal_star.modeling.faster_rcnn import FASTER_RCNN, RETINANET

NO_EFFECT, MAY_CHANGE, REFUSED = "no effect", "may change: used from here on", "refused"

RULES = {
    **dict.fromkeys(KEYS_WITHOUT_EFFECT, NO_EFFECT),
    "DATALOADER.NUM_WORKERS": NO_EFFECT,  # except between 0 and more, see effect_of
    "OUTPUT_WRITERS": MAY_CHANGE,
    "SOLVER.CHECKPOINT_PERIOD": MAY_CHANGE,
    # Tests follow the training, and losses on validation images draw no random number.
    "TEST.": MAY_CHANGE,
    "MODEL.RETINANET.NMS_THRESH_TEST": MAY_CHANGE,
    "MODEL.RETINANET.SCORE_THRESH_TEST": MAY_CHANGE,
    "MODEL.RETINANET.TOPK_CANDIDATES_TEST": MAY_CHANGE,
    # A test within the training draws random numbers, and PRECISE_BN changes the model.
    "TEST.EVAL_PERIOD": REFUSED,
    "TEST.PRECISE_BN.": REFUSED,
}
"""Key (or, with a point at the end, part) of the config -> what a change of it does.

The longest match counts; a key without a match is ``REFUSED``.
"""

OF_ONE_DETECTOR = {
    "MODEL.FASTER_RCNN.": FASTER_RCNN,
    "MODEL.FOCAL_STAR.": RETINANET,
    "MODEL.OHEM.": RETINANET,
}
"""Part of the config -> its detector; it has no effect on training runs of the other one."""

NUM_WORKERS = "DATALOADER.NUM_WORKERS"
LOSS = "MODEL.FOCAL_STAR.LOSS"
FOLDER, WEIGHTS = "DATASETS.FOLDER", "MODEL.WEIGHTS"
"""Keys of files: the same content at another path is no change."""

WHAT_TO_DO = (
    "Give the values that it began with, or train in a new OUTPUT_DIR (without --resume, what is "
    "in this one is kept in earlier/)"
)


def effect_of(key: str, old: Any, new: Any) -> str:
    """The effect of a changed key on a resumed training: a value of :data:`RULES`."""
    if key == NUM_WORKERS and bool(old) != bool(new):
        return REFUSED  # random augmentation then draws from other generators
    fitting = [rule for rule in RULES if key == rule or rule[-1] == "." and key.startswith(rule)]
    return RULES[max(fitting, key=len)] if fitting else REFUSED


def record(given: CfgNode, prepared: CfgNode) -> dict[str, Any]:
    """The config of a training in plain values, for its checkpoints and ``result.json``.

    Args:
        given: the config as it was read.
        prepared: after :func:`focal_star.training.engine.prepare_data_and_weights`, which sets the
            names and classes of the data set, and the file of the initial weights.

    Returns:
        ``values``: dotted key -> value. ``prepared``: those that the preparation changed.
        ``content``: key -> SHA-256 of the content of the files that it names. ``loss_code``:
        SHA-256 of the code of the loss that runs, "" if the detector has another loss. ``code``:
        SHA-256 of this package's sources.
    """
    values = _values(given)
    changed = {k: v for k, v in _values(prepared).items() if values[k] != v}
    return {
        "values": values,
        "prepared": changed,
        "content": _content(values | changed),
        "loss_code": _loss_code(values),
        "code": SHA256,
    }


def changes(
    recorded: Mapping[str, Any], cfg: CfgNode, where: Path, done: bool = False
) -> list[dict[str, Any]]:
    """Compare a training's config with the one that it is to be resumed with.

    Args:
        recorded: what :func:`record` returned.
        cfg: the one to resume with, prepared or not.
        where: the file that ``recorded`` is from.
        done: whether the training is finished, so that nothing of it can be changed.

    Returns:
        ``key``, ``old`` and ``new`` of each change that is used from here on.

    Raises:
        ConfigError: names every key whose change would not be used, or would make the training
            another one, with its old and its new value.
    """
    values = _values(cfg)
    used, refused = [], []
    for key, new in values.items():
        if key not in recorded["values"]:
            continue  # a key that is newer than the training
        old = recorded["values"][key]
        if new == old or new == recorded["prepared"].get(key, old):
            continue
        if key in (FOLDER, WEIGHTS) and _same_content(key, new, recorded["content"]):
            continue
        effect = effect_of(key, old, new) if _has_part(key, values) else NO_EFFECT
        if effect == MAY_CHANGE and not done:
            used.append({"key": key, "old": old, "new": new})
        elif effect != NO_EFFECT:
            refused.append(f"{key} was {old!r}, and is now {new!r}")
    refused += _changed_content(recorded, values)
    if recorded["code"] != SHA256 and not done:
        old, new = recorded["code"][:12], SHA256[:12]
        used.append({"key": "the code of focal_star", "old": old, "new": new})
    code, name = _loss_code(values), values[LOSS]
    before = recorded["loss_code"] if recorded["values"][LOSS] == name else ""
    if before and code and before != code:
        refused.append(f"the code of the loss {name} was {before[:12]}, and is now {code[:12]}")
    if refused:
        training = "is of a finished training, which" if done else "is of a training that"
        raise ConfigError(
            f"{where} {training} cannot be resumed with another config: {'; '.join(refused)}. "
            f"{WHAT_TO_DO}"
        )
    return used


def _values(cfg: CfgNode) -> dict[str, Any]:
    return {key: plain_value(value) for key, value in leaves(cfg)}


def _has_part(key: str, values: Mapping[str, Any]) -> bool:
    """Whether a key is for the detector of a config."""
    detector = values["MODEL.DETECTOR"]
    return all(of == detector or not key.startswith(part) for part, of in OF_ONE_DETECTOR.items())


def _loss_code(values: Mapping[str, Any]) -> str:
    """SHA-256 of the code of the loss; "" for a detector that has another loss.

    Raises:
        LossCodeError: it is unknown which code runs.
    """
    name = values[LOSS]
    has_part = values["MODEL.DETECTOR"] == RETINANET and name in LOSSES
    return loss_sha256(name, LOSSES[name]) if has_part else ""


def _same_content(key: str, new: str, content: Mapping[str, str]) -> bool:
    """Whether a path that was not recorded leads to what was."""
    digest = _sha256_of(key, new)
    return bool(digest) and digest == content.get(key)


def _changed_content(recorded: Mapping[str, Any], values: Mapping[str, Any]) -> list[str]:
    """A message for each path that did not change and whose content did."""
    messages = []
    for key, digest in recorded["content"].items():
        path = recorded["prepared"].get(key, recorded["values"][key])
        now = _sha256_of(key, path) if values[key] == path else ""
        if now and now != digest:
            messages.append(
                f"{key}: the content of {path} was {digest[:12]}, and is now {now[:12]}"
            )
    return messages


def _content(values: Mapping[str, Any]) -> dict[str, str]:
    digests = {key: _sha256_of(key, values[key]) for key in (FOLDER, WEIGHTS)}
    return {key: digest for key, digest in digests.items() if digest}


def _sha256_of(key: str, path: str) -> str:
    """Hash a file, or the annotation files of a folder in COCO's format; "" without any."""
    if key == WEIGHTS:
        files = [Path(path)]
    else:
        files = [split.annotation_file for split in splits_of(path)] if is_coco(path) else []
    try:
        return file_sha256(*files) if files else ""
    except (OSError, ValueError):
        return ""
