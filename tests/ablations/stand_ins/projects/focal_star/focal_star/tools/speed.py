"""Takes the arguments and the lines of ``focal_star.tools.speed``, and answers with made-up times.

A checkpoint takes as many ms as its file says; one without a number cannot be timed.
``actions.json`` says how it goes: "busy" makes every second round of a checkpoint three times as
slow, "busy once" only in the first ten rounds, "crash" ends in the fifth round, "last" ends after
its first answer and reads nothing more.
"""

import json
import os
import sys
from pathlib import Path

actions = Path("actions.json")
action = (json.loads(actions.read_text()) if actions.exists() else {}).get("speed", "done")
texts = [Path(name).read_text(encoding="utf-8") for name in sys.argv[1:]]
with Path("timed.txt").open("a", encoding="utf-8") as file:
    print(*(Path(name).parent.name for name in sys.argv[1:]), file=file)
counts = [0] * len(texts)
for number, text in enumerate(texts):
    problem = {} if text else {"error": "it has no weights"}
    print(json.dumps({"entry": number} | problem), flush=True)
for line in sys.stdin:
    number, images = map(int, line.split())
    counts[number] += 1
    if action == "crash" and counts[number] == 5:
        sys.exit("no memory left")
    slow = action == "busy" or (action == "busy once" and counts[number] <= 11)
    ms = float(texts[number]) * (3 if slow and counts[number] % 2 else 1)
    sample = {
        "ms": [ms] * images,
        "cpu_ms": ms * images,
        "busy_cpus": 0.0,
        "stolen_cpus": 0.0,
        "load": 0.1,
        "clock_mhz": None,
        "affinity": [0],
        "threads": 1,
        "device": "cpu",
    }
    if action == "last":
        os.close(sys.stdin.fileno())
    print(json.dumps({"entry": number} | sample), flush=True)
    if action == "last":
        sys.exit("no memory left")
