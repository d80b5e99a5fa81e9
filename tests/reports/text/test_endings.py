"""What a report says of a run that diverged, whatever its record has."""

import pytest

from reports.text.endings import bad_endings


def evidence_of(folder, divergence):
    folder.add(folder.cell(0, 0), status="diverged", result={"divergence": divergence})
    (ending,) = bad_endings(folder.load())
    return ending.evidence


def test_a_divergence_is_said_with_all_that_is_known(make_folder):
    divergence = {
        "iteration": 37,
        "bad": ["loss_cls is nan"],
        "bad_gradients": {"count": 2, "first": ["a.weight"]},
        "ranks": [{"images": [{"file_name": "3.png"}]}, {"images": [{"file_name": "5.png"}]}],
    }
    assert evidence_of(make_folder(), divergence) == [
        ("First bad iteration", "37"),
        ("Bad values", "loss_cls is nan"),
        ("Non-finite gradients", "2 parameters, including a.weight"),
        ("Images", "3.png, 5.png"),
    ]


@pytest.mark.parametrize(
    ("divergence", "evidence"),
    [
        ({"ranks": None}, []),
        ({"ranks": [{}, {"images": None}]}, []),
        ({"bad": None}, []),
        ({"bad_gradients": {"first": ["a"]}}, []),
        ({"bad_gradients": {"count": 1}}, [("Non-finite gradients", "1 parameter")]),
    ],
)
def test_what_a_record_lacks_is_left_out(make_folder, divergence, evidence):
    assert evidence_of(make_folder(), divergence) == evidence
