"""The report's last sections: how its runs were made, each of them, and what went wrong."""

from reports.page import runs
from reports.page.blocks import (
    Block,
    Bullets,
    Code,
    Definitions,
    Details,
    Heading,
    RunsBlock,
    Section,
    TableBlock,
    Text,
)
from reports.results import provenance
from reports.results.load import Results
from reports.tables.table import Link
from reports.text.endings import bad_endings
from reports.text.sentences import counted


def sections(results: Results) -> list[Section]:
    """How it was made, the runs, and those that did not end well; empty where there is nothing."""
    return [
        Section("making", "How this was made", _making(results)),
        Section("runs", "Runs", _runs(results)),
        Section("endings", "Runs that did not end well", _endings(results)),
    ]


def _making(results: Results) -> list[Block]:
    records = results.records_of(results.frame)
    versions = [f"{name} {text}" for name, text in provenance.versions(records)]
    data, others = provenance.dataset_card(results), len(results.records) - len(records)
    splits = [
        f"{name}: {images} images, {objects} objects" for name, images, objects in data["splits"]
    ]
    sha256 = [f"SHA-256 {data['sha256']}"] if data["sha256"] else []
    pairs = [
        *runs.facts(results, records),
        ("Data set", [data["name"], *splits, *sha256]),
        ("Categories", ", ".join(data["categories"])),
        ("Initial weights", provenance.weights(results)),
        ("Versions", ", ".join(versions)),
        (
            "Other records",
            f"{others} more in the folder that belong to no row of these tables" if others else "",
        ),
    ]
    blocks: list[Block] = [Definitions([(name, texts) for name, texts in pairs if texts])]
    command = str(results.request.get("command") or "")
    if command:
        blocks += [Text("The command that repeats it:"), Code(command)]
    return blocks


def _runs(results: Results) -> list[Block]:
    table = runs.table_of_runs(results)
    found = runs.entries(results)
    blocks: list[Block] = [
        Details(
            f"{counted(len(table), 'run')} with their times and first losses",
            [TableBlock("runs", table, "Runs", runs.CAPTION, formats=("csv",))],
        )
    ]
    if found:
        blocks.append(RunsBlock(found))
    return blocks


def _endings(results: Results) -> list[Block]:
    blocks: list[Block] = []
    for ending in bad_endings(results):
        links = [part for file in ending.files for part in (", ", Link(*file))]
        blocks += [
            Heading(ending.cell),
            Text(ending.state, *links),
            Code(ending.error),
        ]
        if ending.evidence:
            blocks.append(Definitions(ending.evidence))
    if results.refused:
        blocks += [
            Text("Records that could not be read, and count as missing:"),
            Bullets(results.refused),
        ]
    return blocks
