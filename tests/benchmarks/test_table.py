"""The Markdown of results that are given."""

from benchmarks.table import markdown

CONDITIONS = {
    "device": "cpu",
    "cpu": "Some CPU",
    "cores": 2,
    "load": 0.5,
    "system": "Linux",
    "commit": "0123456789ab",
    "versions": {"python": "3.11.7", "torch": "2.15.0"},
}
LOSS = {
    "title": "Loss",
    "cases": [
        {
            "title": "mini: 1 × 2 × 3, float32",
            "threads": 1,
            "warmup": 2,
            "baseline": "theirs",
            "input_bytes": 2 * 2**20,
            "conditions": CONDITIONS,
            "sides": [
                {"name": "ours", "seconds": [0.001, 0.002, 0.004], "peak_extra_bytes": 3 * 2**20},
                {"name": "theirs", "seconds": [0.004, 0.010, 0.012], "peak_extra_bytes": None},
            ],
        }
    ],
}
PLANNING = {
    "title": "Planning",
    "cases": [
        {
            "title": "100 cells",
            "threads": 1,
            "warmup": 1,
            "baseline": None,
            "input_bytes": None,
            "conditions": CONDITIONS | {"load": 2.0},
            "sides": [{"name": "ours", "seconds": [1.25], "peak_extra_bytes": 2**19}],
        }
    ],
}


def test_the_page():
    page = markdown({"loss": LOSS, "planning": PLANNING})
    assert page.startswith(
        "# Benchmarks\n\n"
        "Some CPU, 2 cores; python 3.11.7, torch 2.15.0; commit 0123456789ab. "
        "Load of the machine meanwhile: 0.5 to 2.0.\n\n"
    )
    head = (
        "| case | threads | side | median | times as fast | peak memory | rounds |\n"
        "| --- | ---: | --- | ---: | ---: | ---: | ---: |\n"
    )
    # 4 / 1, 10 / 2 and 12 / 4: median 4
    assert page.endswith(
        "## Loss\n\n" + head + "| mini: 1 × 2 × 3, float32 | 1 | ours | 2 ms | "
        "4.00 (3.00 to 5.00) | 3.0 MiB (1.50 × the logits) | 3 + 2 |\n"
        "|  |  | theirs | 10 ms | baseline | not measured | 3 + 2 |\n"
        "\nRounds: timed + warm-up before.\n\n"
        "## Planning\n\n" + head + "| 100 cells | 1 | ours | 1.25 s |  | 0.5 MiB | 1 + 1 |\n"
        "\nRounds: timed + warm-up before.\n"
    )


def test_two_machines_are_told_apart():
    gpu = CONDITIONS | {"device": "Some GPU"}
    other = PLANNING | {"cases": [PLANNING["cases"][0] | {"conditions": gpu}]}
    lines = markdown({"loss": LOSS, "planning": other}).splitlines()
    assert [line.partition(",")[0] for line in lines[2:4]] == ["Some CPU", "Some GPU"]
