"""``python -m tests.fuzz``: gives each reader the requested number of cases.

Ends with 1 at the first case that a reader does not read or refuse as documented, and shows it.
"""

import argparse
import sys
import tempfile
import traceback
from pathlib import Path

from tests.fuzz.fuzzing import Count, FuzzError, fuzz
from tests.fuzz.readers import READERS


def main(argv: list[str] | None = None) -> int:
    """Return 0 if every reader behaves as documented, otherwise 1."""
    options = _parser().parse_args(argv)
    failed = []
    for name in options.readers or READERS:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            reader = READERS[name](Path(folder) / name)

            def report(count: Count, name: str = name) -> None:
                print(f"{name}: {count}", flush=True)

            try:
                fuzz(reader, options.cases, options.seed, report)
            except FuzzError:
                traceback.print_exc()
                failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "no reader failed")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000, help="for each (default: 1000000)")
    parser.add_argument("--seed", type=int, default=1, help="of the cases (default: 1)")
    parser.add_argument("--readers", nargs="+", choices=READERS, help="(default: all)")
    memory = Path("/dev/shm")
    parser.add_argument(
        "--folder",
        type=Path,
        default=memory if memory.is_dir() else None,
        help="where the cases are written for the readers (default: in memory, where that can be)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
