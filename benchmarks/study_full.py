"""The mini study's grids (a), (b) and FL*'s gamma in full, against the plain loop.

This project's side trains every cell. The plain loop, whose cells all cost the same, trains some
and its time is multiplied; the table says so.
"""

from typing import Any

from benchmarks.study import build

__all__ = ["TITLE", "build", "cases"]

TITLE = "A study in full: the grids (a), (b) and FL*'s gamma"


def cases(on_gpu: bool) -> list[dict[str, Any]]:
    of = {"rows": 0, "changes": {}, "sample": 3, "threads": 2}
    return [{"grids": ["alpha", "gamma", "gamma_star"]} | of]
