"""Collects the images and objects that a reader of another layout converts to COCO's format."""

from collections.abc import Mapping
from typing import Any

from focal_star.data.layouts.dataset import number_categories
from focal_star.data.layouts.split import SOURCE, SPLITS


class Entries:
    """The images and objects of both splits, numbered from 1 on in the order in which they come.

    Attributes:
        contents: split -> its images and annotations in COCO's format; :meth:`numbered` adds the
            categories.
    """

    def __init__(self, category_source: str = "") -> None:
        """
        Args:
            category_source: the file that the categories are from; "" for the first object of each.
        """
        self.contents: dict[str, dict[str, Any]] = {
            split: {"images": [], "annotations": []} for split in SPLITS
        }
        self._category_source = category_source
        self._sources: dict[str, str] = {}

    def add_image(self, split: str, entry: Mapping[str, Any]) -> int:
        """Add COCO's entry of an image, with its source but without an id; return its id."""
        images = self.contents[split]["images"]
        images.append({"id": len(images) + 1, **entry})
        return len(images)

    def add_object(
        self, split: str, image_id: int, category: str, box: list[float], source: str
    ) -> None:
        """Add an object to an image.

        Args:
            split: of the image.
            image_id: of the image, in its split.
            category: its name.
            box: x and y of the upper left corner, width and height, px.
            source: the file, and the entry there, that it is from.
        """
        self.add_category(category, source)
        annotations = self.contents[split]["annotations"]
        annotations.append(
            {
                "id": len(annotations) + 1,
                "image_id": image_id,
                "category": category,
                "bbox": box,
                "iscrowd": 0,
                SOURCE: source,
            }
        )

    def add_category(self, name: str, source: str) -> None:
        """Add a category, which may be one without objects."""
        self._sources.setdefault(name, self._category_source or source)

    def numbered(self) -> dict[str, Any]:
        """Split -> its content in COCO's format; to be called once, when all entries are there."""
        number_categories(self.contents, self._sources)
        return dict(self.contents)
