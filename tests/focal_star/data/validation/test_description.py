"""The numbers of a data set's card, counted by hand."""

from focal_star.data.validation.description import contents


def annotation(image_id, category_id, width, height, **other):
    return {"image_id": image_id, "category_id": category_id, "bbox": [0, 0, width, height]} | other


FILE = {
    "images": [
        {"id": 1, "width": 640, "height": 480},
        {"id": 2, "width": 200, "height": 300},
        {"id": 7, "width": 500, "height": 300},
    ],
    "categories": [{"id": 9, "name": "dog"}, {"id": 3, "name": "cat"}, {"id": 4, "name": "none"}],
    "annotations": [
        annotation(1, 3, 31, 33),  # 1023 < 32^2: small
        annotation(1, 3, 32, 32),  # 1024: medium
        annotation(1, 9, 96, 96),  # 9216: large
        annotation(1, 9, 96, 96, area=100),  # the area that is given counts: small
        annotation(7, 3, 95, 97, iscrowd=0),  # 9215: medium
        annotation(7, 3, 300, 200, iscrowd=1),  # a crowd is no object
    ],
}


def test_everything_is_counted():
    assert contents(FILE) == {
        "num_images": 3,
        "num_instances": 6,
        "num_crowd": 1,
        "num_without_objects": 1,
        "num_categories": 3,
        "category_names": ["cat", "none", "dog"],
        "num_small": 2,
        "num_medium": 2,
        "num_large": 1,
        "objects_per_image": 1.7,  # 5 / 3
        "most_objects_per_image": 4,
        "width": [200, 500, 640],
        "height": [300, 300, 480],
        # sqrt(31 x 33) = 31.98, 32, 96, 96, sqrt(95 x 97) = 95.99
        "object_size": [32.0, 96.0, 96.0],
        "per_category": {"cat": 3, "none": 0, "dog": 2},
    }


def test_a_split_may_be_empty():
    found = contents({"images": [], "annotations": [], "categories": []})
    assert found["objects_per_image"] is None and found["most_objects_per_image"] == 0
    assert (
        found["width"] == found["height"] == found["object_size"] == []
        and found["per_category"] == {}
    )
