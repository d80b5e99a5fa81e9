import csv
import re

import pytest

from ablations.storage.json_files import write_json
from reports.tables import dataset_card, references
from reports.tables.references import FOLDER
from tests.reports.readers import csv_rows, html_rows, latex_rows, markdown_rows

SPLIT = {
    "num_images": 80,
    "num_instances": 310,
    "num_categories": 2,
    "num_small": 100,
    "num_medium": 209,
    "num_large": 1,
    "objects_per_image": 3.875,
    "most_objects_per_image": 8,
    "width": [96, 128, 128],
    "height": [64.0, 112.5, 128.0],
}


def test_the_proposal_s_baseline_stands_beside_what_others_publish():
    found = references.baselines()
    rows = html_rows(found.table)
    assert rows == markdown_rows(found.table) == latex_rows(found.table)
    assert [(line[0], line[2]) for line in rows] == [
        ("the proposal's training", "32.8"), ("Detectron2", "37.4"), ("MMDetection", "36.5"),
    ]  # fmt: skip
    assert rows[0][3:8] == ["50.1", "35.0", "17.4", "35.3", "43.8"]
    assert rows[1][3:8] == ["–"] * 5, "its page has AP alone"
    assert all(line[-1] for line in rows)
    assert "none of them uses FL*" in found.note


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.csv")), ids=lambda path: path.stem)
def test_every_file_of_published_numbers_names_its_source(path):
    about = (FOLDER / "README.md").read_text(encoding="utf-8")
    (line,) = [line for line in about.splitlines() if f"]({path.name})" in line]
    sources = re.findall(r"\[(\d)\]", line.split("|")[3])
    assert sources and all(f"\n{number}. " in about for number in sources)
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert rows and all(len(row) == len(header) for row in rows)


def described(folder, **dataset):
    about = {"name": "digits", "categories": ["a", "b"]} | dataset
    write_json(folder.layout.prepared, vars(folder.prepared) | {"dataset": about})
    return dataset_card.dataset_card(folder.load())


def test_the_data_set_s_card(make_folder):
    found = described(make_folder(), train=SPLIT, val=SPLIT | {"num_images": 40})
    rows = html_rows(found.table)
    assert rows == markdown_rows(found.table) == latex_rows(found.table)
    card = {line[0]: line[1:] for line in rows}
    assert card["images"] == ["80", "40", "200,000"]
    assert card["objects"] == ["310", "310", "1.5 million"]
    assert card["categories"] == ["2", "2", "80"]
    assert card["objects per image, mean"] == ["3.9", "3.9", "7.5"]
    assert card["small objects (< 32² px)"] == ["100", "100", "–"]
    assert card["image width (px): min, median, max"][0] == "96 / 128 / 128"
    assert card["image height (px): min, median, max"][0] == "64.0 / 112.5 / 128.0"
    assert card["image resolution"] == ["–", "–", "Varied"]
    assert csv_rows(found.table)[1] == ["images", "80", "40", "200,000"]
    assert "not measured here" in found.note and "digits" in found.note


def test_the_card_says_which_images_are_converted(make_folder):
    line = "3 of 80 images (such as 'a_1.png'): 16 bits per value: reduced to 8 bits"
    train = SPLIT | {"conversions": [line]}
    found = described(make_folder(), train=train, val=SPLIT | {"conversions": []})
    assert f"Some images are converted when they are read: train: {line}. " in found.note
    rows = html_rows(found.table)
    nothing = described(make_folder(), train=SPLIT, val=SPLIT)
    assert "converted" not in nothing.note and html_rows(nothing.table) == rows


def test_the_card_says_what_the_check_warned_of(make_folder):
    line = "2 images ('a.png'; 'b.png'): no object"
    found = described(make_folder(), train=SPLIT, val=SPLIT | {"warnings": [line]})
    assert f"Warnings of the data check: val: {line}. " in found.note


def test_an_older_description_has_fewer_rows(make_folder):
    about = {"num_images": 80, "num_instances": 310}
    card = {line[0]: line[1] for line in html_rows(described(make_folder(), train=about).table)}
    # 310 / 80, and the categories are counted
    assert card == {
        "images": "80", "objects": "310", "categories": "2", "objects per image, mean": "3.9",
        "image resolution": "–",
    }  # fmt: skip


def test_the_card_is_made_from_records_where_nothing_else_is_known(make_folder):
    folder = make_folder()
    assert dataset_card.dataset_card(folder.load()).table is None
    folder.add(folder.cell(0, 0), 4.0)
    rows = html_rows(dataset_card.dataset_card(folder.load()).table)
    assert rows[0] == ["images", "80", "40", "200,000"]
