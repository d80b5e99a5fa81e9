"""One comparison, run in a process of its own: ``python -m benchmarks.case PART JSON``."""

import importlib
import json
import sys
from typing import Any

from benchmarks.harness import time_sides
from benchmarks.machine import conditions
from benchmarks.memory import peak_extra_bytes


def run_case(part: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Time the sides of a case, then measure the memory of each."""
    import torch

    threads = arguments["threads"]
    torch.set_num_threads(threads)
    on_gpu = torch.cuda.is_available()
    case = importlib.import_module(f"benchmarks.{part}").build(**arguments)
    seconds = time_sides(
        case.sides, rounds=case.rounds, warmup=case.warmup, budget_seconds=case.budget_seconds
    )
    return {
        "title": case.title,
        "threads": threads,
        "warmup": case.warmup,
        "baseline": case.baseline,
        "input_bytes": case.input_bytes,
        "conditions": conditions(),
        "sides": [
            {
                "name": side.name,
                "seconds": times,
                "peak_extra_bytes": (
                    peak_extra_bytes(side.run, on_gpu) if case.measure_memory else None
                ),
            }
            for side, times in zip(case.sides, seconds, strict=True)
        ],
    }


if __name__ == "__main__":
    print(json.dumps(run_case(sys.argv[1], json.loads(sys.argv[2]))))
