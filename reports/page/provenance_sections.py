"""The last sections of a report: provenance, runs, failed and diverged runs."""

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


def provenance_sections(results: Results) -> list[Section]:
    """Provenance, runs, and the failed and diverged ones; a section may have no blocks."""
    return [
        Section("making", "Provenance", _provenance(results)),
        Section("runs", "Runs", _runs(results)),
        Section("endings", "Failed and diverged runs", _endings(results)),
    ]


def _provenance(results: Results) -> list[Block]:
    records = results.records_of(results.frame)
    versions = [f"{name} {text}" for name, text in provenance.versions(records)]
    data, others = provenance.dataset_facts(results), len(results.records) - len(records)
    splits = [
        f"{name}: {images} images, {objects} objects" for name, images, objects in data["splits"]
    ]
    sha256 = [f"SHA-256 {data['sha256']}"] if data["sha256"] else []
    pairs = [
        *runs.facts(results, records),
        ("Linear scaling", provenance.linear_scaling(results, records)),
        ("Data set", [data["name"], *splits, *filter(None, [data["subset"]]), *sha256]),
        ("Categories", ", ".join(data["categories"])),
        ("Initial weights", provenance.weights(results)),
        ("Versions", ", ".join(versions)),
        (
            "Other records",
            f"{others} in the folder, which belong to no row of these tables" if others else "",
        ),
    ]
    blocks: list[Block] = [Definitions([(name, texts) for name, texts in pairs if texts])]
    command = str(results.request.get("command") or "")
    if command:
        blocks += [Text("This command repeats the study:"), Code(command)]
    return blocks


def _runs(results: Results) -> list[Block]:
    table = runs.table_of_runs(results)
    entries = runs.entries(results)
    blocks: list[Block] = [
        Details(
            f"Times and first losses of {counted(len(table), 'run')}",
            [TableBlock("runs", table, "Runs", runs.CAPTION, suffixes=("csv",))],
        )
    ]
    if entries:
        blocks.append(RunsBlock(entries))
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
            Text("These records could not be read and count as missing:"),
            Bullets(results.refused),
        ]
    return blocks
