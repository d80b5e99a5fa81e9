"""What a report says of the data and of the schedule that its cells had."""

from dataclasses import replace

import msgspec
import pytest

from ablations.storage.json_files import write_json
from reports.page.provenance_sections import _provenance
from reports.results import provenance

SUBSET = {
    "name": "coco_2017_train",
    "share": 0.1,
    "of": 118_287,
    "image_ids_sha256": "5a" * 32,
}


@pytest.fixture
def scaled(make_folder):
    """A function of the processes of two cells: a study whose config is written for four GPUs."""

    def scaled(*processes, world_size=4):
        folder = make_folder()
        config = folder.prepared.config
        config["SOLVER"] |= {"IMS_PER_BATCH": 16, "BASE_LR": 0.01}
        config["SOLVER"]["REFERENCE_WORLD_SIZE"] = world_size
        data = folder.prepared.dataset
        data = data | {"train": data["train"] | {"subset": SUBSET}}
        folder.prepared = replace(folder.prepared, dataset=data)
        for row, number in enumerate(processes):
            cell = folder.cell(0, row)
            identity = folder.prepared.identities([cell], number)[cell]
            folder.add(cell, 20.0, identity=identity.as_dict(), fingerprint=identity.fingerprint)
        write_json(folder.layout.prepared, vars(folder.prepared))
        return folder.load()

    return scaled


def sentences(results):
    return provenance.linear_scaling(results, list(results.records.values()))


def test_the_linear_rule_is_said(scaled):
    assert sentences(scaled(1, 2)) == [
        "by the linear rule (arXiv:1706.02677) from the config's 4 GPUs to 1: 4 images per batch, "
        "learning rate 0.0025, 4 times as many iterations",
        "by the linear rule (arXiv:1706.02677) from the config's 4 GPUs to 2: 8 images per batch, "
        "learning rate 0.005, 2 times as many iterations",
    ]


@pytest.mark.parametrize(("processes", "world_size"), [(4, 4), (1, 0)])
def test_without_scaling_nothing_is_said(scaled, processes, world_size):
    assert sentences(scaled(processes, world_size=world_size)) == []


def test_the_part_of_the_images_is_in_the_provenance(scaled):
    results = scaled(1)
    text = provenance.dataset_facts(results)["subset"]
    assert "10 % of the 118,287 images of coco_2017_train" in text and "5a" * 32 in text
    shown = str(_provenance(results))
    assert text in shown and "learning rate 0.0025" in shown


@pytest.mark.parametrize("key", SUBSET)
def test_an_incomplete_part_is_not_in_the_provenance(scaled, key):
    results = scaled(1)
    about = {name: value for name, value in SUBSET.items() if name != key}
    prepared = replace(results.prepared, dataset={"train": {"subset": about}})
    assert provenance.dataset_facts(replace(results, prepared=prepared))["subset"] == ""


def test_images_per_batch(scaled):
    assert provenance.images_per_batch(scaled(1), 1) == 4
    assert provenance.images_per_batch(scaled(1, world_size=0), 1) == 16


@pytest.mark.parametrize(
    ("recorded", "prepared", "read"),
    [
        ({"num_images": 9}, {}, (9, 0)),
        ({"num_images": 9, "num_without_objects": 2}, {}, (7, 2)),
        ({"num_images": 9, "sha256": "ab"}, {"num_without_objects": 4, "sha256": "ab"}, (5, 4)),
        ({"num_images": 9, "sha256": "ab"}, {"num_without_objects": 4, "sha256": "cd"}, (9, 0)),
        ({"num_images": 9}, {"num_without_objects": 4}, (9, 0)),
        ({}, {}, (0, 0)),
    ],
)
def test_the_images_that_training_reads(scaled, recorded, prepared, read):
    results = scaled(1)
    (record,) = results.records.values()
    record = msgspec.structs.replace(record, dataset={"train": recorded})
    study = replace(results.prepared, dataset={"train": prepared})
    assert provenance.training_images(replace(results, prepared=study), record) == read
