"""The code and the last request, with which a study's records are compared."""

from typing import Any

from ablations.identity import snapshot
from ablations.identity.snapshot import Code
from ablations.storage.json_files import read_object
from ablations.storage.layout import Layout
from ablations.storage.locks import is_at_work
from ablations.study.study import Study


def asked(layout: Layout) -> dict[str, Any]:
    """Content of ``study.json``; empty if it cannot be read."""
    return read_object(layout.study)


def processes(layout: Layout, study: Study) -> int:
    """The processes per cell in the last run; before the first run, the study's number."""
    number = asked(layout).get("processes")
    return number if type(number) is int and number > 0 else max(1, study.gpus)


def code(layout: Layout) -> Code:
    """The code that trains: the snapshot of the current run; if none is running, the checkout."""
    in_use = None
    if is_at_work(layout):
        in_use = snapshot.find(layout, str(asked(layout).get("snapshot_sha256", "")))
    return in_use or snapshot.checkout()
