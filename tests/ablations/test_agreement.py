"""The names that several packages define agree."""

import pytest

from ablations.identity.fingerprint import flat
from ablations.records.record import DIVERGED, DONE
from ablations.study.axes import AXES, LOSS_AXES, MODEL_AXES
from ablations.study.grid import COLUMNS
from focal_star.evaluation.metric_names import AP_METRICS


def test_statuses_match_the_training():
    from focal_star.training import outcome

    assert (outcome.DONE, outcome.DIVERGED) == (DONE, DIVERGED)


def test_reports_have_a_label_for_every_metric_and_axis():
    from reports.results import labels

    assert set(labels.METRICS) == {*AP_METRICS, labels.SPEED, labels.CANDIDATES}
    assert set(COLUMNS) <= set(AP_METRICS)
    assert set(labels.AXES) >= set(AXES)


def test_losses_are_compared_for_the_same_model():
    assert {*MODEL_AXES, *LOSS_AXES, "loss"} == set(AXES)
    assert LOSS_AXES == ("alpha", "gamma", "beta", "weight_cap", "prior")


@pytest.mark.parametrize("name", AXES)
def test_every_axis_is_a_key_of_the_config(name):
    from focal_star.config import CONFIGS, resolve_config

    config = resolve_config(CONFIGS / "Base-FocalStar-RetinaNet.yaml")
    assert AXES[name].key in dict(flat(config))
