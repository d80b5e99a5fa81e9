"""Takes train_net.py's arguments and writes the same files, without training.

It works in steps and writes a checkpoint after each; with ``--resume`` it resumes from the last
one. A number, which each step computes from the previous one, replaces the weights: it shows
whether every step was done once, in order. The environment variables STEPS and STEP_SECONDS set
the number of steps and their duration.

``actions.json`` in the working directory gives the action of a cell: one word for all its
processes, or a list with a word for each; the default is "done". ``started.txt`` and ``ended.txt``
there get a line for every process that starts, and for every one that has trained to the end.
"""

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

from focal_star.identity import sources

MEET_SECONDS = 10.0
STEPS = int(os.environ.get("STEPS", 4))
STEP_SECONDS = float(os.environ.get("STEP_SECONDS", 0))

words = [word for word in sys.argv[1:] if word != "--resume"]
options = dict(zip(words[::2], words[1::2], strict=True))
folder = Path(options["OUTPUT_DIR"])
folder.mkdir(parents=True, exist_ok=True)
cell = folder.name
started = Path("started.txt")
resumed_at: list[int] = []


def note(path: Path) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{cell}\n")


def write(name: str, text: str) -> None:
    (folder / f".{name}").write_text(text, encoding="utf-8")
    (folder / f".{name}").replace(folder / name)


def find_action() -> str:
    try:
        action = json.loads(Path("actions.json").read_text(encoding="utf-8")).get(cell, "done")
    except FileNotFoundError:
        action = "done"
    tries = started.read_text(encoding="utf-8").split().count(cell)
    if isinstance(action, str):
        return action
    return action[tries - 1] if tries <= len(action) else "done"


def take_steps(last: int) -> str:
    """Work until this step; return the number that replaces the weights."""
    checkpoint = folder / "checkpoint.json"
    resume = "--resume" in sys.argv and checkpoint.exists()
    step, weights = json.loads(checkpoint.read_text()) if resume else (0, cell)
    if step:
        resumed_at.append(step)
    while step < last:
        time.sleep(STEP_SECONDS)
        step, weights = step + 1, hashlib.sha256(f"{weights} {step}".encode()).hexdigest()
        write("checkpoint.json", json.dumps([step, weights]))
        with (folder / "metrics.json").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"iteration": step, "loss_cls": 1 / step}) + "\n")
    return weights


def leave(status: str, error: str, ap: float) -> None:
    done = status == "done"
    content = {
        "status": status,
        "error": error,
        "result": {
            "metrics": dict.fromkeys(("AP", "AP50", "AP75", "APs", "APm", "APl"), ap),
            "per_class_AP": {"0": ap},
            "curves": {
                "iteration": [1, 2],
                **{name: [2.0, 1.0] for name in ("loss_cls", "loss_box_reg", "total_loss")},
            },
            "first_loss": {"predicted": 1.0, "measured": 1.0},
            "iterations": STEPS,
            "error_iteration": None if done else 37,
            "divergence": None,
            "weights_sha256": take_steps(STEPS) if done else "",
        },
        "run": {
            "train_seconds": 1.5,
            "eval_seconds": 0.5,
            "wall_seconds": 2.5,
            "resumed_at": resumed_at,
            "code_sha256": sources.SHA256,
            "environment": {"num_threads": os.environ["OMP_NUM_THREADS"]},
        },
    }
    if action == "other loss":
        content["result"]["loss"] = {"code": "0b" * 32}
    text = json.dumps(content)
    if action == "truncated":
        text = text[: len(text) // 2]
    if action == "a list":
        text = "[]"
    if action == "half a result":
        text = json.dumps({"status": "done", "error": ""})
    if done:
        (folder / "inference").mkdir(exist_ok=True)
        (folder / "inference" / "coco_instances_results.json").write_text("[]", encoding="utf-8")
    note(Path("ended.txt"))
    write("result.json", text)


def meet() -> None:
    """Wait until another cell does the same; write the number of cells seen."""
    alive, met = Path("alive"), Path("met")
    alive.mkdir(exist_ok=True)
    met.mkdir(exist_ok=True)
    (alive / cell).touch()
    deadline = time.monotonic() + MEET_SECONDS
    while (seen := len(list(alive.iterdir()))) < 2:
        if time.monotonic() > deadline:
            sys.exit("nobody came")
        time.sleep(0.01)
    (met / cell).write_text(str(seen))
    while len(list(met.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)


def say_who() -> None:
    """Write the process's id into ``pids/<cell>``."""
    Path("pids").mkdir(exist_ok=True)
    Path("pids", f".{cell}").write_text(str(os.getpid()))
    Path("pids", f".{cell}").rename(Path("pids", cell))


def write_config() -> None:
    """Write the config as Detectron2 does: every key, as YAML (here JSON, which is YAML)."""
    config = json.loads(Path("config.json").read_text(encoding="utf-8"))
    for key, text in options.items():
        *parts, name = key.split(".")
        node = config
        for part in parts:
            node = node.setdefault(part, {})
        try:
            node[name] = None if text == "None" else json.loads(text)
        except ValueError:
            node[name] = text
    write("config.yaml", json.dumps(config))


signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))
write_config()
note(started)
action = find_action()
if action == "crash":
    print("\n".join(f"line {number}" for number in range(100)), flush=True)
    raise MemoryError("no room for the anchors")
if action == "unusable":
    print("train_net.py: error: config: MODEL.DEVICE is 'gpu'", file=sys.stderr)
    sys.exit(2)
if action == "killed":
    take_steps(STEPS // 2)
    print("a line before the end", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
if action == "meet":
    meet()
if action == "fills the disk":
    with open("output/ballast", "wb", buffering=0) as file:
        while file.write(bytes(512)):
            pass
if action in ("hang", "deaf", "wait"):
    if action == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    take_steps(STEPS // 2)
    say_who()
    while action != "wait" or not Path("go").exists():
        time.sleep(0.01)
if action == "diverged":
    leave("diverged", "FloatingPointError: loss_cls is nan", 0.0)
    sys.exit(3)
# Another seed, another result.
leave("done", "", 10.0 + int(options["SEED"]))
if action == "killed at the end":
    os.kill(os.getpid(), signal.SIGKILL)
