"""Takes train_net.py's arguments and leaves what it leaves, without training.

``actions.json`` in the working directory says what a cell does; without a word it is "done".
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

MEET_SECONDS = 10.0

words = sys.argv[1:]
options = dict(zip(words[::2], words[1::2], strict=True))
folder = Path(options["OUTPUT_DIR"])
folder.mkdir(parents=True, exist_ok=True)
with open("started.txt", "a", encoding="utf-8") as file:
    file.write(f"{folder.name}\n")
actions = Path("actions.json")
action = (json.loads(actions.read_text()) if actions.exists() else {}).get(folder.name, "done")


def leave(status: str, error: str, ap: float) -> None:
    content = {
        "status": status,
        "error": error,
        "result": {
            "metrics": {"AP": ap, "AP50": 2 * ap},
            "iterations": 60,
            "error_iteration": 37 if status == "diverged" else None,
        },
        "run": {
            "train_seconds": 1.5,
            "environment": {"num_threads": os.environ["OMP_NUM_THREADS"]},
        },
    }
    text = json.dumps(content)
    if action == "truncated":
        text = text[: len(text) // 2]
    if action == "a list":
        text = "[]"
    if action == "half a result":
        text = json.dumps({"status": "done", "error": ""})
    (folder / "result.json").write_text(text, encoding="utf-8")


def meet() -> None:
    """Wait until another cell does the same, and leave how many were seen."""
    alive, met = Path("alive"), Path("met")
    alive.mkdir(exist_ok=True)
    met.mkdir(exist_ok=True)
    (alive / folder.name).touch()
    deadline = time.monotonic() + MEET_SECONDS
    while (seen := len(list(alive.iterdir()))) < 2:
        if time.monotonic() > deadline:
            sys.exit("nobody came")
        time.sleep(0.01)
    (met / folder.name).write_text(str(seen))
    while len(list(met.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)


if action == "crash":
    print("\n".join(f"line {number}" for number in range(100)), flush=True)
    raise MemoryError("no room for the anchors")
if action == "meet":
    meet()
if action in ("hang", "deaf"):
    if action == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path("pids").mkdir(exist_ok=True)
    Path("pids", f".{folder.name}").write_text(str(os.getpid()))
    Path("pids", f".{folder.name}").rename(Path("pids", folder.name))
    time.sleep(600)
if action == "diverged":
    leave("diverged", "FloatingPointError: loss_cls is nan", 0.0)
    sys.exit(3)
# Another seed, another result.
leave("done", "", 10.0 + int(options["SEED"]))
