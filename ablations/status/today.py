"""What the records of a study are compared with: the code, and what was asked for last."""

import json
from typing import Any

from ablations.identity import snapshot
from ablations.identity.snapshot import Code
from ablations.storage.layout import Layout
from ablations.storage.locks import is_at_work
from ablations.study.study import Study


def asked(layout: Layout) -> dict[str, Any]:
    """Content of ``study.json``; empty where there is none to read."""
    try:
        content = json.loads(layout.study.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def processes(layout: Layout, study: Study) -> int:
    """The processes of a cell as the last run had them; as the study says before the first run."""
    number = asked(layout).get("processes")
    return number if type(number) is int and number > 0 else max(1, study.gpus)


def code(layout: Layout) -> Code:
    """What the cells train with: the snapshot of a run that is at work, otherwise the checkout."""
    found = None
    if is_at_work(layout):
        found = snapshot.find(layout, str(asked(layout).get("snapshot_sha256", "")))
    return found or snapshot.checkout()
