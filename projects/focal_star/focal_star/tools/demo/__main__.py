"""Runs detectors on your own photographs, on the CPU, and shows their detections side by side.

The output folder gets a picture per photograph with a column per checkpoint (pictures/),
detections.json, and index.html, a single file that contains all pictures.

Exit codes: 0 all files were processed; 1 some files could not be read, they are named, and the
others were processed; 2 no file was processed.
"""

import argparse
import json
import logging
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from focal_star.errors import ConfigError
from focal_star.io.image_files import PhotographError, read_photograph
from focal_star.io.writing import write_whole
from focal_star.tools.demo.page import Column, draw, page
from focal_star.tools.detector import Detector, load_detector

DEFAULT_THRESHOLD = 0.5
MAX_DETECTORS = 16
"""The maximum number of detectors that fit in a picture."""

SKIPPED, UNUSABLE = 1, 2
"""Exit codes."""


def main(argv: Sequence[str] | None = None) -> int:
    """Return an exit code; see the module."""
    options = _parser().parse_args(argv)
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    try:
        files = find_files(options.images, options.output)
        detectors = load_detectors(
            options.weights, options.config, options.threshold, options.trust_checkpoints
        )
        thresholds, at = choose_thresholds(detectors, options.threshold)
        done, skipped = run(files, detectors, thresholds, options.output)
        write(options.images, options.output, detectors, thresholds, at, done, skipped)
    except ConfigError as error:
        print(f"demo: error: {error}", file=sys.stderr)
        return UNUSABLE
    except OSError as error:
        print(f"demo: error: {error.filename}: {error.strerror}", file=sys.stderr)
        return UNUSABLE
    print(f"{len(done)} of {len(files)} files: {options.output / 'index.html'}")
    if not done:
        return UNUSABLE
    return SKIPPED if skipped else 0


def find_files(images: Path | None, output: Path) -> list[Path]:
    """The files of a folder in the order of their names, without hidden ones; or the given file.

    Raises:
        ConfigError: there are no files, or the folder is inside the output folder.
    """
    if images is None:
        raise ConfigError("no photographs are given (IMAGES=folder)")
    if images.is_file():
        return [images]
    if not images.is_dir():
        raise ConfigError(f"{images} is neither a folder nor a file (IMAGES=...)")
    if images.resolve().is_relative_to(output.resolve()):
        raise ConfigError(f"{images} is inside of {output}, the folder of the output")
    files = [path for path in images.iterdir() if path.is_file() and path.name[0] != "."]
    if not files:
        raise ConfigError(f"{images} has no files (IMAGES=...)")
    return sorted(files, key=lambda path: path.name)


def load_detectors(
    weights: Sequence[Path], config: Path | None, threshold: float | None, trusted: bool = False
) -> list[Detector]:
    """Load the detectors.

    Raises:
        ConfigError: lists every checkpoint that cannot be used.
    """
    if len(weights) > MAX_DETECTORS:
        raise ConfigError(f"{len(weights)} checkpoints are given; the max is {MAX_DETECTORS}")
    detectors, problems = [], []
    for path in weights:
        try:
            lowest = DEFAULT_THRESHOLD if threshold is None else threshold
            detectors.append(load_detector(path, config, lowest, trusted))
        except (ConfigError, OSError) as error:
            problems.append(str(error))
    if not weights:
        problems.append('no checkpoint is given (WEIGHTS="a.pth b.pth")')
    if problems:
        raise ConfigError("\n  ".join(problems))
    return detectors


def choose_thresholds(
    detectors: Sequence[Detector], threshold: float | None
) -> tuple[list[float], str]:
    """The minimum score of each detector's boxes, and a sentence that says how it was chosen.

    A given threshold applies to all. Otherwise each detector has the threshold that was measured on
    its validation images, because losses calibrate differently; if one has none, all have
    ``DEFAULT_THRESHOLD``.
    """
    measured = [one.measured for one in detectors if one.measured is not None]
    if threshold is not None:
        return [threshold] * len(
            detectors
        ), f"Boxes with a score of at least {threshold:g} are shown."
    if len(measured) == len(detectors):
        return measured, (
            "Each detector has its own min score, at which it reaches the same precision on its "
            "validation images."
        )
    return [DEFAULT_THRESHOLD] * len(detectors), (
        f"Boxes with a score >= {DEFAULT_THRESHOLD:g} are shown. At the same score, "
        "detectors with different losses differ in precision."
    )


def run(
    files: Sequence[Path],
    detectors: Sequence[Detector],
    thresholds: Sequence[float],
    output: Path,
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Process the photographs one by one; each picture is written before the next one is read.

    Returns:
        The entries of ``detections.json``, and ``file`` and ``why`` of each file that was skipped.

    Raises:
        OSError: a picture cannot be written.
    """
    done, skipped, titles = [], [], titles_of(detectors)
    classes = [name for detector in detectors for name in detector.classes]
    for number, path in enumerate(files, start=1):
        try:
            read = {  # with the bit depth of each detector's training
                depth: read_photograph(path, depth)
                for depth in dict.fromkeys(one.cfg.INPUT.BIT_DEPTH for one in detectors)
            }
            photograph = next(iter(read.values()))
            columns = [
                Column(
                    f"{title}, from {threshold:.2f}",
                    detector.detect(read[detector.cfg.INPUT.BIT_DEPTH], threshold),
                )
                for detector, title, threshold in zip(detectors, titles, thresholds, strict=True)
            ]
        except (PhotographError, ConfigError) as error:
            skipped.append({"file": path.name, "why": str(error)})
            print(f"{_printable(path.name)} is skipped: {error}", file=sys.stderr)
            continue
        picture = f"pictures/{number:04d}_{_printable(path.stem)[:40]}.jpg"
        write_whole(output / picture, draw(photograph, columns, classes))
        done.append(
            {
                "file": path.name,
                "width": photograph.width,
                "height": photograph.height,
                "picture": picture,
                "detections": [
                    [
                        {
                            "category": one.category,
                            "score": round(one.score, 5),
                            "bbox": [round(edge, 2) for edge in one.box],
                        }
                        for one in column.detections
                    ]
                    for column in columns
                ],
            }
        )
    return done, skipped


def write(
    images: Path,
    output: Path,
    detectors: Sequence[Detector],
    thresholds: Sequence[float],
    at: str,
    done: list[dict[str, Any]],
    skipped: list[dict[str, str]],
) -> None:
    """Write ``detections.json`` and ``index.html``, and remove pictures of an earlier demo."""
    about = [
        {
            "name": title,
            "weights": str(detector.weights),
            "threshold": threshold,
            "note": detector.note,
            "classes": detector.classes,
        }
        for detector, title, threshold in zip(
            detectors, titles_of(detectors), thresholds, strict=True
        )
    ]
    content = {"detectors": about, "photographs": done, "skipped": skipped}
    write_whole(output / "detections.json", json.dumps(content, indent=1).encode())
    source = images.resolve().name
    write_whole(output / "index.html", page(source, at, about, done, skipped, output))
    current = {output / one["picture"] for one in done}
    for old in output.glob("pictures/[0-9][0-9][0-9][0-9]_*.jpg"):
        if old not in current:
            old.unlink()


def titles_of(detectors: Sequence[Detector]) -> list[str]:
    """The names of the detectors, or the paths of the checkpoints if two names are the same."""
    names = [detector.name for detector in detectors]
    if len(set(names)) == len(names):
        return names
    return [str(detector.weights) for detector in detectors]


def _printable(name: str) -> str:
    """A file's name with characters that are safe in a terminal and in another file's name."""
    return "".join(c if c.isprintable() and c not in '/\\:*?"<>|' else "_" for c in name)


def _path(text: str) -> Path | None:
    """None for "", which make passes for an unset variable; Path("") would be this folder."""
    return Path(text).expanduser() if text else None


def _threshold(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and 0 <= value <= 1):
        raise argparse.ArgumentTypeError(f"{text} is not a score from 0 to 1")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m focal_star.tools.demo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--images", type=_path, required=True, help="a folder, or one photograph")
    parser.add_argument("--weights", type=Path, nargs="*", default=[], help="checkpoints (.pth)")
    parser.add_argument("--config", type=Path, help="of all (default: config.yaml beside each)")
    parser.add_argument("--threshold", type=_threshold, help="the min score of a box")
    parser.add_argument(
        "--trust-checkpoints", action="store_true", help="run code that the checkpoints contain"
    )
    parser.add_argument("--output", type=Path, default=Path("output/demo"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
