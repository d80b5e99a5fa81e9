"""``python -m benchmarks``: runs the parts and writes the results; ``make bench`` calls it."""

import argparse
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.table import markdown

ROOT = Path(__file__).resolve().parents[1]

PARTS = ("loss", "step", "evaluation", "planning", "rendering", "study")
"""Modules of this package, each with ``TITLE``, ``cases`` and ``build``."""

ON_REQUEST = ("study_full",)
"""Parts that take long, and run only if they are named."""


class CaseError(RuntimeError):
    """A case that could not be run; the message has the end of its process's output."""


def run_part(part: str, cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Run each case in a process of its own: its threads, its compiler, its memory.

    Raises:
        CaseError: one failed.
    """
    results = []
    for case in cases:
        print(f"{part}: {', '.join(f'{k} {v}' for k, v in case.items())}", flush=True)
        threads = {"OMP_NUM_THREADS": str(case["threads"])}
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.case", part, json.dumps(case)],
            cwd=ROOT,
            env=os.environ | threads,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise CaseError(f"{part} {case}:\n" + "\n".join(done.stderr.splitlines()[-20:]))
        results.append(json.loads(done.stdout.splitlines()[-1]))
    return results


def write(folder: Path, part: str, title: str, cases: list[dict[str, Any]]) -> None:
    """Write ``<part>.json``, and the page of this and all parts that were written before."""
    folder.mkdir(parents=True, exist_ok=True)
    content = json.dumps({"title": title, "cases": cases}, indent=1)
    (folder / f"{part}.json").write_text(content, "utf-8")
    results = {
        name: json.loads(path.read_text("utf-8"))
        for name in (*PARTS, *ON_REQUEST)
        if (path := folder / f"{name}.json").is_file()
    }
    (folder / "README.md").write_text(markdown(results), "utf-8")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--parts",
        default="",
        help=f"names, separated by spaces, of: {', '.join((*PARTS, *ON_REQUEST))} (default: all "
        f"but {', '.join(ON_REQUEST)})",
    )
    parser.add_argument("--output", type=Path, default=ROOT / "output" / "bench")
    options = parser.parse_args(arguments)
    parts = options.parts.replace("-", "_").split() or list(PARTS)
    known = (*PARTS, *ON_REQUEST)
    unknown = [part for part in parts if part not in known]
    if unknown:
        print(f"error: unknown parts {', '.join(unknown)}; there are: {', '.join(known)}",
              file=sys.stderr)  # fmt: skip
        return 2
    import torch

    failed = False
    for part in parts:
        module = importlib.import_module(f"benchmarks.{part}")
        try:
            cases = run_part(part, module.cases(torch.cuda.is_available()))
        except CaseError as error:
            print(f"error: {error}", file=sys.stderr)
            failed = True
            continue
        write(options.output, part, module.TITLE, cases)
    print(f"{options.output / 'README.md'}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
