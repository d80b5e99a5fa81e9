"""Takes the arguments of ``focal_star.tools.halves`` and writes the same files, without detections.

``halves.json`` in the working directory says AP of a cell on the selection half with the
selection seed 0, by default 20; with another seed it is 100 minus that. AP on the reporting half
is one less. ``judged.txt`` gets a line for every cell.
"""

import json
import sys
from pathlib import Path

request = json.loads(Path(sys.argv[sys.argv.index("--request") + 1]).read_text())
table = Path("halves.json")
aps = json.loads(table.read_text()) if table.exists() else {}
for cell in request["cells"]:
    name = cell["about"]["cell"]
    ap = aps.get(name, 20.0)
    if ap == "broken":
        print(f"error: {cell['detections']}: no list", file=sys.stderr)
        continue
    if request["selection_seed"] and ap is not None:
        ap = 100 - ap
    content = dict(cell["about"])
    for half, value in (("selection", ap), ("reporting", ap if ap is None else ap - 1)):
        metrics = dict.fromkeys(("AP", "AP50", "AP75", "APs", "APm", "APl"), value)
        analysis = {"bootstrap": {"images": 4, "seed": 0, "AP": [value] * cell["resamples"]}}
        content[half] = {"images": 4, "metrics": metrics, "per_class_AP": {}, "analysis": analysis}
    Path(cell["output"]).write_text(json.dumps(content))
    with Path("judged.txt").open("a") as file:
        file.write(f"{name}\n")
