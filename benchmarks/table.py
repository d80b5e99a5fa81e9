"""The results as Markdown."""

from typing import Any

from benchmarks.harness import Spread, times_as_fast

MIB = 2**20


def markdown(results: dict[str, dict[str, Any]]) -> str:
    """A page with a table for each part.

    Args:
        results: part -> ``title`` and ``cases``, each case what ``benchmarks.case`` returned.
    """
    lines = ["# Benchmarks", "", *_conditions(results), ""]
    lines += [
        "Each round runs every side once; every second round reverses the order. *Times as fast* "
        "is the ratio to the baseline's time of the same round: its median, minimum and maximum. "
        "*Peak memory* is the memory of one run beyond the memory in use before it.",
        "",
    ]
    for result in results.values():
        lines += [f"## {result['title']}", "", *_table(result["cases"]), ""]
    return "\n".join(lines).rstrip() + "\n"


def _conditions(results: dict[str, dict[str, Any]]) -> list[str]:
    """One line for every machine and set of versions that the results are from."""
    loads = {}
    for result in results.values():
        for case in result["cases"]:
            about = case["conditions"]
            versions = ", ".join(f"{name} {of}" for name, of in about["versions"].items())
            device = "" if about["device"] == "cpu" else f"{about['device']}, "
            where = f"{device}{about['cpu']}, {about['cores']} cores; {versions}"
            where += f"; commit {about['commit']}" if about["commit"] else ""
            loads.setdefault(where, []).append(about["load"])
    return [
        f"{where}. Load of the machine meanwhile: {min(load):.1f} to {max(load):.1f}."
        for where, load in loads.items()
    ]


def _table(cases: list[dict[str, Any]]) -> list[str]:
    rows = [
        "| case | threads | side | median | times as fast | peak memory | rounds |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    for case in cases:
        baseline = [side for side in case["sides"] if side["name"] == case["baseline"]]
        for number, side in enumerate(case["sides"]):
            named = (case["title"], str(case["threads"])) if number == 0 else ("", "")
            ratio = ""
            if baseline and side is baseline[0]:
                ratio = "baseline"
            elif baseline:
                ratio = _ratio(times_as_fast(side["seconds"], baseline[0]["seconds"]))
            cells = (
                *named,
                side["name"],
                _duration(Spread.of(side["seconds"]).median),
                ratio,
                _memory(side["peak_extra_bytes"], case["input_bytes"]),
                str(len(side["seconds"])) + f" + {case['warmup']}",
            )
            rows.append("| " + " | ".join(cells) + " |")
    return rows + ["", "Rounds: timed + warm-up before."]


def _ratio(spread: Spread) -> str:
    return f"{spread.median:.2f} ({spread.least:.2f} to {spread.most:.2f})"


def _duration(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def _memory(size: int | None, of: int | None) -> str:
    if size is None:
        return "not measured"
    times = f" ({size / of:.2f} × the logits)" if of else ""
    return f"{size / MIB:.1f} MiB{times}"
