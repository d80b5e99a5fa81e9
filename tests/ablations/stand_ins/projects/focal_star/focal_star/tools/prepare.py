"""Takes the arguments of ``focal_star.tools.prepare`` and leaves what it leaves.

``config.json`` in the working directory is the config of every study; ``actions.json`` says what
is to happen, without a word it is "done". The ``KEY VALUE`` pairs change the keys of the config.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--config-file", required=True)
parser.add_argument("--json", type=Path, required=True)
parser.add_argument("--variant", action="append")
parser.add_argument("--resolve-only", action="store_true")
parser.add_argument("--num-gpus", type=int)
parser.add_argument("opts", nargs=argparse.REMAINDER)
options = parser.parse_args()
pairs = dict(zip(options.opts[::2], options.opts[1::2], strict=True))
actions = Path("actions.json")
action = (json.loads(actions.read_text()) if actions.exists() else {}).get("prepare", "done")
print("INFO composing the data set", file=sys.stderr)
if action == "refuse":
    print("error: own: 2 problems\n  - image 1 is missing\n  - box 7 is empty", file=sys.stderr)
    sys.exit(2)
if action == "hang":
    Path("pids").mkdir()
    Path("pids", ".prepare").write_text(str(os.getpid()))
    Path("pids", ".prepare").rename(Path("pids", "prepare"))
    time.sleep(600)
if action == "crash":
    raise MemoryError("no room for the images")
content = {"config": json.loads(Path("config.json").read_text(encoding="utf-8"))}
for key, value in pairs.items():
    *parts, name = key.split(".")
    part = content["config"]
    for parent in parts:
        part = part.get(parent, {})
    if name in part:
        part[name] = type(part[name])(value)
if not options.resolve_only:
    content["dataset"] = {
        "name": "digits", "sha256": pairs.get("DATASETS.FOLDER", ""),
        "val": {"num_images": 1 if action == "one image" else 4},
    }  # fmt: skip
    content["weights"] = {
        variant: {
            "path": pairs.get("MODEL.WEIGHTS", f"{pairs['CACHE_DIR']}/weights{variant[-2:]}.pth"),
            "sha256": f"of {pairs.get('MODEL.WEIGHTS', variant)!r}",
        }
        for variant in options.variant
    }
options.json.write_text(json.dumps(content), encoding="utf-8")
