"""``python -m focal_star.data.layouts.counts FOLDER``: counts the images of both splits, unchecked.

It prints ``{"train": 448, "test": 190}``, and ends with code 1 where the folder cannot be read.
"""

import json
import sys
from pathlib import Path

from focal_star.data.layouts import voc
from focal_star.data.layouts.coco import is_coco, splits_of


def counts(folder: Path) -> tuple[int, int]:
    """The numbers of training and validation images of a folder.

    Raises:
        OSError, ValueError, KeyError, TypeError: its annotations cannot be read.
    """
    if is_coco(folder):
        found = [json.loads(split.annotation_file.read_bytes()) for split in splits_of(folder)]
    else:
        contents = voc.convert(folder).contents
        found = [contents[split] for split in voc.SPLITS]
    train, val = (len(content["images"]) for content in found)
    return train, val


def main(folder: str) -> int:
    """Print the counts; return the exit code."""
    try:
        train, val = counts(Path(folder))
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        print(f"{folder}: {error}", file=sys.stderr)
        return 1
    print(json.dumps({"train": train, "test": val}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
