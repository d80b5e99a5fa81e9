"""``python -m focal_star.tools.halves``: AP of models on each half of the validation images.

The request is a JSON file::

    {
      "annotations": the validation split's file in COCO's format,
      "selection_seed": determines how the images are divided, see focal_star.evaluation.halves,
      "max_detections": how many detections per image and category count,
      "cells": [
        {
          "detections": the model's detections on the split, in COCO's results format,
          "resamples": the number of resamples of each half's images,
          "whole": whether the reporting half needs the whole analysis,
          "output": the JSON file to write,
          "about": further content of that file, besides the two halves
        }
      ]
    }

No model is trained, so another selection seed needs no new training. If the detections of a model
cannot be used, an error names the model; the files of the other models are still written.
"""

import argparse
import json
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from focal_star.errors import ConfigError
from focal_star.evaluation.halves import on_halves
from focal_star.io.writing import write_whole
from focal_star.training import interruption

CHUNK = 4
"""The number of models that a process evaluates each time it reads the annotations."""


def evaluate(request: dict[str, Any], cells: list[dict[str, Any]]) -> list[str]:
    """Evaluate some models of a request and write their files.

    Returns:
        One line for each model that could not be evaluated.

    Raises:
        OSError: the annotations cannot be read, or a file cannot be written.
        ConfigError: the split has fewer than two images.
    """
    content = json.loads(Path(request["annotations"]).read_text(encoding="utf-8"))
    problems = []
    for cell in cells:
        try:
            results = json.loads(Path(cell["detections"]).read_text(encoding="utf-8"))
            halves = on_halves(
                content,
                results,
                request["selection_seed"],
                cell["resamples"],
                cell["whole"],
                request["max_detections"],
            )
        except ConfigError:
            raise
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            problems.append(f"{cell['detections']}: {type(error).__name__}: {error}")
            continue
        text = json.dumps(cell["about"] | halves, indent=1, sort_keys=True, allow_nan=False)
        write_whole(Path(cell["output"]), f"{text}\n".encode())
    return problems


def main(argv: list[str] | None = None) -> int:
    """Return 0, 1 if some models could not be evaluated, 2 if the request cannot be used."""
    options = _parser().parse_args(argv)
    try:
        request = json.loads(options.request.read_text(encoding="utf-8"))
        cells = request["cells"]
        parts = [cells[start : start + CHUNK] for start in range(0, len(cells), CHUNK)]
        if options.jobs > 1 and len(parts) > 1:
            spawning = multiprocessing.get_context("spawn")  # a fork would share hotcoco's threads
            with ProcessPoolExecutor(
                options.jobs, spawning, initializer=interruption.exit_with_parent
            ) as pool:
                problems_of_parts = list(pool.map(evaluate, [request] * len(parts), parts))
        else:
            problems_of_parts = [evaluate(request, part) for part in parts]
    except (ConfigError, OSError, ValueError, KeyError, TypeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    problems = [line for lines in problems_of_parts for line in lines]
    for line in problems:
        print(f"error: {line}", file=sys.stderr)
    return 1 if problems else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m focal_star.tools.halves",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--request", type=Path, required=True, help="the JSON file")
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side")
    return parser


if __name__ == "__main__":
    sys.exit(main())
