"""One half of a data set, as every layout describes it."""

from dataclasses import dataclass, field
from pathlib import Path

SOURCE = "source"
"""Key of a converted entry: the file, and the entry there, that it was converted from."""

SPLITS = ("train", "val")


@dataclass(frozen=True)
class Split:
    """One half of a data set: ``train`` or ``val``.

    Attributes:
        name: "train" or "val".
        annotation_file: in COCO's format; just the split's name where it is converted from
            another layout.
        image_root: the folder that every ``file_name`` is relative to.
        folder: the folder that no link may lead out of; None for ``image_root``.
    """

    name: str
    annotation_file: Path
    image_root: Path
    folder: Path | None = field(default=None, compare=False)

    @property
    def has_file(self) -> bool:
        """Whether its entries are those of an annotation file in COCO's format."""
        return self.annotation_file != Path(self.name)
