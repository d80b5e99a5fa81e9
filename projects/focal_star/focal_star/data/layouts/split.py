"""One half of a data set, as every layout describes it."""

from dataclasses import dataclass
from pathlib import Path

SOURCE = "source"
"""Key of a converted entry: the file, and the entry there, that it was converted from."""


@dataclass(frozen=True)
class Split:
    """One half of a data set: ``train`` or ``val``."""

    name: str
    annotation_file: Path
    image_root: Path
