"""AP on halves of the images: what COCOeval says of a data set that has only those images."""

import numpy as np
import pytest

from focal_star.errors import ConfigError
from focal_star.evaluation.analysis import analyse
from focal_star.evaluation.halves import REPORTING, SELECTION, halves_of, on_halves
from focal_star.evaluation.metric_names import AP_METRICS
from tests.focal_star.evaluation.scenes import CATEGORIES, evaluated, scenes


def test_every_image_is_in_one_half():
    for number in (2, 3, 14, 501):
        divided = halves_of(range(number), seed=3)
        assert sorted(divided[SELECTION] + divided[REPORTING]) == list(range(number))
        assert len(divided[SELECTION]) == number // 2


def test_halves_depend_on_the_ids_and_the_seed_alone():
    ids = [7, 2**60 + 1, 3, 44, 2**60 + 2, 5]
    assert halves_of(ids, 0) == halves_of(ids[::-1], 0)
    assert len({tuple(halves_of(range(40), seed)[SELECTION]) for seed in range(10)}) == 10
    # `printf 0:1 | sha256sum` and so on begin with ef, 93, 76 and 48: 4 and 3 come first.
    assert halves_of([1, 2, 3, 4], 0) == {SELECTION: [3, 4], REPORTING: [1, 2]}


def test_an_image_is_in_either_half_equally_often():
    chosen = np.zeros(50)
    for seed in range(2000):
        chosen[halves_of(range(50), seed)[SELECTION]] += 1
    # Binomial with p = 1/2: a standard deviation of 1/2 sqrt(2000) = 22.4.
    assert abs(chosen - 1000).max() < 4.5 * 22.4


@pytest.mark.parametrize("number", [0, 1])
def test_too_few_images_are_refused(number):
    with pytest.raises(ConfigError, match=f"has {number} images.*at least 2"):
        halves_of(range(number), 0)


@pytest.mark.parametrize("seed", range(3))
def test_a_half_is_evaluated_like_a_data_set_of_its_own(seed):
    content, results = scenes(seed, num_images=21)
    found = on_halves(content, results, seed, 20, whole=True)
    divided = halves_of([image["id"] for image in content["images"]], seed)
    for half, ids in divided.items():
        part = {key: [one for one in content[key] if one["image_id"] in ids]
                for key in ("annotations",)}  # fmt: skip
        part = content | part | {"images": [i for i in content["images"] if i["id"] in ids]}
        own = [one for one in results if one["image_id"] in ids]
        oracle = evaluated(part, own, "pycocotools")
        oracle.summarize()
        expected = [100 * value if value >= 0 else None for value in oracle.stats[:6]]
        assert list(found[half]["metrics"]) == list(AP_METRICS)
        assert list(found[half]["metrics"].values()) == pytest.approx(expected, abs=1e-5)
        assert found[half]["images"] == len(ids)
        precision = oracle.eval["precision"][:, :, :, 0, -1]
        for place, name in enumerate(CATEGORIES.values()):
            defined = precision[:, :, place][precision[:, :, place] > -1]
            value = found[half]["per_class_AP"][name]
            assert value == (pytest.approx(100 * defined.mean()) if defined.size else None)
        analysis = analyse(part, own, 20)
        assert found[half]["analysis"]["bootstrap"] == analysis["bootstrap"]
        if half == REPORTING:
            assert found[half]["analysis"] == analysis
        else:
            assert list(found[half]["analysis"]) == ["bootstrap"]
    both = evaluated(content, results)
    both.summarize()
    aps = [found[half]["metrics"]["AP"] for half in divided]
    assert 100 * both.stats[0] not in aps, "or the halves are the whole"


def test_a_half_without_objects_has_no_ap():
    content, results = scenes(0)
    found = on_halves(content | {"annotations": []}, results, 0, 0)
    assert found[SELECTION]["metrics"] == dict.fromkeys(AP_METRICS)
    assert found[REPORTING]["analysis"] == {"bootstrap": None}
