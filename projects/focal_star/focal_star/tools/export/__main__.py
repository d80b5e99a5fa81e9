"""Writes a trained RetinaNet as one file that runs without Detectron2 and without this project.

    python -m focal_star.tools.export --weights model_final.pth --format torchscript
    python -m focal_star.tools.export --weights model_final.pth --format onnx
    python -m focal_star.tools.export --weights model_final.pth --format torch_export \\
        --size 800 1216

==============  ===================  ==================  =========================================
format          file                 size of the image   runs with
==============  ===================  ==================  =========================================
torchscript     model.torchscript    any                 torch and torchvision, on the CPU
torch_export    model.pt2            the one of --size   torch and torchvision, on the CPU
onnx            model.onnx           any                 a runtime of ONNX, such as onnxruntime
==============  ===================  ==================  =========================================

The file takes one image, (3, H, W) float32 in 0..255, in the channel order of ``INPUT.FORMAT`` and
already resized as ``INPUT.MIN_SIZE_TEST`` says, and gives its detections: ``boxes`` (n, 4), x0 y0
x1 y1 in px of that image, ``scores`` (n,) and ``classes`` (n,), the highest score first. All that
is in ``<file>.json`` beside it, with the names of the classes.

Before a file is written it is run beside the model on two photographs, and refused where the
detections differ. Where the model finds nothing on them, the file is written as not verified.

All formats are of one graph, that of :mod:`focal_star.tools.export.detection_graph`. Detectron2's
own export cannot be used: that of 0.5 needs Caffe2, and that of main supports only ``torch.jit``.
"""

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from inspect import signature
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.modeling import RetinaNet
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import Tensor

from focal_star import __version__
from focal_star.errors import ConfigError
from focal_star.io.writing import write_whole
from focal_star.tools.detector import Detector, load_detector
from focal_star.tools.export.detection_graph import Detections

UNUSABLE = 2
"""Exit code where nothing could be exported."""

BOX_TOLERANCE, SCORE_TOLERANCE = 1e-3, 1e-4
"""Within these (boxes in px) a file's detections are those of the model."""

OPSET = 17
"""ONNX opset: the newest that torch's exporter of traced graphs writes without conversion."""

OUTPUTS = ("boxes", "scores", "classes")

Run = Callable[[Tensor], Sequence[Tensor]]
"""An exported file, loaded: image -> boxes, scores, classes."""


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Attributes:
        suffix: the suffix of its name.
        any_size: whether it takes images of any size.
        write: (graph, example image) -> the file's content.
        load: the file's content -> what runs it; None where that needs a package that is not here.
        runs_with: what it takes to run it.
    """

    suffix: str
    any_size: bool
    write: Callable[[Detections, Tensor], bytes]
    load: Callable[[bytes], Run | None]
    runs_with: str


def _write_torchscript(graph: Detections, image: Tensor) -> bytes:
    buffer = BytesIO()
    torch.jit.save(torch.jit.trace(graph, image, check_trace=False), buffer)
    return buffer.getvalue()


def _write_torch_export(graph: Detections, image: Tensor) -> bytes:
    buffer = BytesIO()
    torch.export.save(torch.export.export(graph, (image,), strict=False), buffer)
    return buffer.getvalue()


def _write_onnx(graph: Detections, image: Tensor) -> bytes:
    # The exporter by torch.export is the newer one, and would keep the size of the image.
    traced = {"dynamo": False} if "dynamo" in signature(torch.onnx.export).parameters else {}
    buffer = BytesIO()
    torch.onnx.export(
        graph,
        (image,),
        buffer,
        input_names=["image"],
        output_names=list(OUTPUTS),
        dynamic_axes={"image": {1: "height", 2: "width"}} | {name: {0: "n"} for name in OUTPUTS},
        opset_version=OPSET,
        **traced,
    )
    return buffer.getvalue()


def _load_onnx(content: bytes) -> Run | None:
    try:
        import onnxruntime
    except ImportError:
        return None
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return lambda image: [
        torch.from_numpy(array) for array in session.run(None, {"image": image.numpy()})
    ]


FORMATS = {
    "torchscript": Format(
        ".torchscript",
        True,
        _write_torchscript,
        lambda content: torch.jit.load(BytesIO(content)),
        "torch and torchvision, on the CPU",
    ),
    "torch_export": Format(
        ".pt2",
        False,
        _write_torch_export,
        lambda content: torch.export.load(BytesIO(content)).module(),
        "torch and torchvision, on the CPU",
    ),
    "onnx": Format(".onnx", True, _write_onnx, _load_onnx, "a runtime of ONNX"),
}
"""Name -> kind of file."""


def export(
    detector: Detector, name: str, size: tuple[int, int] | None = None
) -> tuple[bytes, dict[str, Any]]:
    """The content of a file, checked, and its description.

    Args:
        detector: a detector that contains a RetinaNet.
        name: a key of :data:`FORMATS`.
        size: height and width of its images, px; only for formats that keep one.

    Raises:
        ConfigError: it cannot be exported, or the file would find something else.
    """
    form = FORMATS[name]
    _check(detector, name, size)
    images = list(_photographs(detector, size))
    graph = Detections(detector.model).eval()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporters': the result is compared with the model
        try:
            content = form.write(graph, images[0])
            run = form.load(content)
        except Exception as error:  # torch's exporters raise what they happen to meet
            first = str(error).strip().partition("\n")[0]
            raise ConfigError(
                f"torch {torch.__version__} cannot write this model as {name}: "
                f"{type(error).__name__}: {first}"
            ) from error
        compared = None if run is None else compare(detector.model, run, images)
    return content, _about(detector, name, size, compared)


def compare(model: RetinaNet, run: Run, images: Sequence[Tensor]) -> int:
    """Compare the detections of a file with the model's; return how many there are.

    Raises:
        ConfigError: they differ.
    """
    total = 0
    for image in images:
        instances = model([{"image": image}])[0]["instances"]
        boxes, scores, classes = run(image)
        total += len(instances)
        if len(instances) != len(boxes) or not _same(instances, boxes, scores, classes):
            raise ConfigError(
                f"on an image of {tuple(image.shape)} the export finds {len(boxes)} boxes and the "
                f"model {len(instances)}, or the boxes differ; nothing is written"
            )
    return total


def _same(instances: Any, boxes: Tensor, scores: Tensor, classes: Tensor) -> bool:
    """Whether each detection has its own counterpart; equal scores may be in any order."""
    if not len(boxes):
        return True
    apart = (instances.pred_boxes.tensor[:, None] - boxes[None]).abs().amax(-1) / BOX_TOLERANCE
    apart = apart.maximum((instances.scores[:, None] - scores[None]).abs() / SCORE_TOLERANCE)
    apart = apart.masked_fill(instances.pred_classes[:, None] != classes[None], torch.inf)
    nearest = apart.min(1)
    return bool((nearest.values <= 1).all()) and len(nearest.indices.unique()) == len(boxes)


def _check(detector: Detector, name: str, size: tuple[int, int] | None) -> None:
    model, problems = detector.model, []
    if not isinstance(model, RetinaNet):
        problems.append(f"{type(model).__name__} cannot be exported: only RetinaNet can")
    elif not isinstance(model.anchor_generator, DefaultAnchorGenerator):
        kind = type(model.anchor_generator).__name__
        problems.append(f"anchors of {kind} cannot be exported: only DefaultAnchorGenerator's can")
    if FORMATS[name].any_size and size:
        problems.append(f"{name} takes images of any size: leave --size out")
    if not FORMATS[name].any_size and not size:
        problems.append(f"{name} keeps one size of image: give it, in px, as --size HEIGHT WIDTH")
    if name == "onnx" and find_spec("onnx") is None:
        problems.append("onnx needs a package that is not here: pip install -e '.[onnx]'")
    if size and min(size) < 1:
        problems.append(f"--size is {size[0]} {size[1]}; valid: two whole numbers of px >= 1")
    if problems:
        raise ConfigError("; ".join(problems))


def _photographs(detector: Detector, size: tuple[int, int] | None) -> Iterator[Tensor]:
    """Photographs to compare on, as the model takes them: of two sizes, or of the one given."""
    short, longest = detector.cfg.INPUT.MIN_SIZE_TEST, detector.cfg.INPUT.MAX_SIZE_TEST
    longer = min(longest, round(1.4 * short))
    sizes = [size, size] if size else [(short, longer), (longer, short)]
    for pixels, (height, width) in zip(load_sample_images().images, sizes, strict=True):
        pixels = np.asarray(Image.fromarray(pixels).resize((width, height)))
        if detector.cfg.INPUT.FORMAT == "BGR":
            pixels = pixels[:, :, ::-1]
        yield torch.from_numpy(pixels.transpose(2, 0, 1).astype(np.float32))


def _about(
    detector: Detector, name: str, size: tuple[int, int] | None, compared: int | None
) -> dict[str, Any]:
    model, image = detector.model, detector.cfg.INPUT
    return {
        "format": name,
        "runs_with": FORMATS[name].runs_with,
        "input": {
            "name": "image",
            "shape": [3, *(size or ("height", "width"))],
            "size": "fixed" if size else "any",
            "dtype": "float32",
            "range": [0, 255],
            "channels": image.FORMAT,
            "short_edge": image.MIN_SIZE_TEST,
            "longest_edge": image.MAX_SIZE_TEST,
        },
        "outputs": {
            "boxes": "(n, 4) float32, x0 y0 x1 y1 in px of the image",
            "scores": "(n,) float32, the highest first",
            "classes": "(n,) int64, numbers of the list of classes",
        },
        "classes": list(detector.classes),
        "score_threshold": model.test_score_thresh,
        "nms_threshold": model.test_nms_thresh,
        "max_detections": model.max_detections_per_image,
        "detections_compared": compared,
        "verified": bool(compared),
        "focal_star": __version__,
        "torch": torch.__version__,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0, or 2 where nothing could be exported."""
    options = _parser().parse_args(argv)
    path = options.output or options.weights.with_name("model" + FORMATS[options.format].suffix)
    try:
        detector = load_detector(options.weights, options.config_file, 1.0)
        content, about = export(detector, options.format, options.size and tuple(options.size))
        write_whole(path, content)
        write_whole(path.with_name(f"{path.name}.json"), json.dumps(about, indent=1).encode())
    except (ConfigError, OSError) as error:
        print(f"export: error: {error}", file=sys.stderr)
        return UNUSABLE
    size = "{} x {} px".format(*options.size) if options.size else "any size"
    compared = about["detections_compared"]
    print(f"{path}: takes images of {size}; {path.name}.json says what it takes and gives")
    if compared is None:
        print("Not verified: the comparison with the model needs onnxruntime, which is not here")
    elif not compared:
        print("Not verified: the model finds nothing on the two photographs to compare on")
    else:
        print(f"Compared with the model on two photographs: all {compared} detections match")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m focal_star.tools.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--weights", type=Path, required=True, help="a model_final.pth")
    parser.add_argument("--config-file", type=Path, help="its config; else config.yaml beside it")
    parser.add_argument("--format", choices=list(FORMATS), required=True)
    parser.add_argument("--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="px")
    parser.add_argument("--output", type=Path, help="the file; else model.* beside the checkpoint")
    return parser


if __name__ == "__main__":
    sys.exit(main())
