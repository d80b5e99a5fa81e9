"""What is changed in the sources of Detectron2 v0.5 so that they run, uncompiled, on current torch.

Each mend is an exact replacement that must fit as often as it says: sources that are not the ones
it was written for are refused, never half mended.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from install.running import SetupError

NO_OPERATORS = "detectron2/layers/no_compiled_operators.py"

NO_OPERATORS_SOURCE = '''\
"""Stands in for `detectron2._C`, which this pure-Python build of Detectron2 does not have."""


class _NoCompiledOperators:
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError(
            f"Detectron2's compiled operator {name} is missing: this is a pure-Python build. "
            "RetinaNet and Faster R-CNN do not need it; rotated boxes, and deformable convolution "
            "on a GPU, do. For those, build and install Detectron2 from its own sources."
        )


_C = _NoCompiledOperators()
'''


@dataclass(frozen=True)
class Mend:
    """One replacement in one file.

    Args:
        file: path below the sources' root.
        old: the text to replace.
        new: what stands there instead.
        why: what fails without it.
        times: how often the old text occurs.
    """

    file: str
    old: str
    new: str
    why: str
    times: int = 1


def without_compiled(file: str) -> Mend:
    """Lets a layer be imported where nothing was compiled; calling its operator says so."""
    return Mend(
        file,
        "from detectron2 import _C\n",
        "try:\n"
        "    from detectron2 import _C\n"
        "except ImportError:\n"
        "    from detectron2.layers.no_compiled_operators import _C\n",
        "detectron2.layers imports this file, and _C is not there",
    )


def plain_type(file: str, name: str, times: int, context: str = "dtype={}") -> Mend:
    """Writes one of numpy's old names for Python's own types as what it was: that type.

    Args:
        file: path below the sources' root.
        name: `bool`, `int`, `float` or `str`.
        times: how often it occurs.
        context: what stands around the name.
    """
    return Mend(
        file,
        context.format(f"np.{name}"),
        context.format(name),
        f"numpy has no np.{name} of that meaning since 1.24",
        times,
    )


MENDS = (
    without_compiled("detectron2/layers/deform_conv.py"),
    without_compiled("detectron2/layers/roi_align_rotated.py"),
    without_compiled("detectron2/layers/rotated_boxes.py"),
    Mend(
        "detectron2/evaluation/coco_evaluation.py",
        "from detectron2.evaluation.fast_eval_api import COCOeval_opt\n",
        "try:\n"
        "    from detectron2.evaluation.fast_eval_api import COCOeval_opt\n"
        "except ImportError:\n"
        "    COCOeval_opt = COCOeval\n",
        "the faster evaluation is compiled; pycocotools' gives the same AP",
    ),
    Mend(
        "detectron2/data/transforms/transform.py",
        "Image.LINEAR",
        "Image.BILINEAR",
        "Pillow 10 dropped the second name of the same filter",
    ),
    Mend(
        "detectron2/model_zoo/model_zoo.py",
        "import pkg_resources\n",
        "",
        "setuptools 81 dropped pkg_resources",
    ),
    Mend(
        "detectron2/model_zoo/model_zoo.py",
        "    cfg_file = pkg_resources.resource_filename(\n"
        '        "detectron2.model_zoo", os.path.join("configs", config_path)\n'
        "    )\n",
        '    cfg_file = os.path.join(os.path.dirname(__file__), "configs", config_path)\n',
        "the configs lie beside the module, and a path needs no library",
    ),
    plain_type("detectron2/data/build.py", "int", 2),
    plain_type("detectron2/data/datasets/pascal_voc.py", "str", 1),
    plain_type("detectron2/evaluation/pascal_voc_evaluation.py", "bool", 2, "astype({})"),
    plain_type("detectron2/evaluation/sem_seg_evaluation.py", "int", 2, "dtype={})"),
    plain_type("detectron2/evaluation/sem_seg_evaluation.py", "float", 2),
    plain_type("detectron2/evaluation/sem_seg_evaluation.py", "float", 3, "astype({})"),
    plain_type("detectron2/structures/masks.py", "bool", 1),
    plain_type("detectron2/structures/masks.py", "bool", 1, "astype({})"),
    plain_type("detectron2/utils/video_visualizer.py", "bool", 1),
    plain_type("detectron2/utils/visualizer.py", "bool", 3, "astype({})"),
)


def apply_mends(root: Path, mends: Iterable[Mend] = MENDS) -> None:
    """Mends a tree of sources in place; changes nothing unless every mend fits.

    Args:
        root: the folder that holds `detectron2/`.
        mends: in order; several may concern one file.

    Raises:
        SetupError: the sources are other ones; names each mend that does not fit, and its file.
    """
    texts: dict[str, str] = {}
    misfits = []
    for mend in mends:
        if mend.file not in texts:
            path = root / mend.file
            texts[mend.file] = path.read_text(encoding="utf-8") if path.is_file() else ""
        found = texts[mend.file].count(mend.old)
        if found != mend.times:
            misfits.append(f"{mend.file}: {mend.old!r} occurs {found} times, not {mend.times}")
        texts[mend.file] = texts[mend.file].replace(mend.old, mend.new)
    if misfits:
        raise SetupError(
            f"{len(misfits)} mends do not fit these sources of Detectron2: {'; '.join(misfits)}. "
            "The sdist and the mends in install/detectron2_mends.py belong together: restore both "
            "from the repository"
        )
    for file, text in texts.items():
        (root / file).write_text(text, encoding="utf-8")
    (root / NO_OPERATORS).write_text(NO_OPERATORS_SOURCE, encoding="utf-8")
