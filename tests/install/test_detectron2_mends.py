"""The mends fit exactly or not at all."""

from pathlib import Path

import pytest

from install.detectron2_mends import MENDS, NO_OPERATORS, Mend, apply_mends
from install.running import SetupError


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Stands for Detectron2's sources: two files, and the folder of the layers."""
    (tmp_path / NO_OPERATORS).parent.mkdir(parents=True)
    (tmp_path / "one.py").write_text("old\nold\n")
    (tmp_path / "two.py").write_text("left\nright\n")
    return tmp_path


def test_replaces_as_often_as_said(sources: Path) -> None:
    apply_mends(
        sources,
        [
            Mend("one.py", "old", "new", "why", times=2),
            Mend("two.py", "left", "LEFT", "why"),
            Mend("two.py", "right", "RIGHT", "why"),
        ],
    )
    assert (sources / "one.py").read_text() == "new\nnew\n"
    assert (sources / "two.py").read_text() == "LEFT\nRIGHT\n"


@pytest.mark.parametrize(
    ("misfit", "said"),
    [
        (Mend("two.py", "absent", "new", "why"), "two.py: 'absent' occurs 0 times, not 1"),
        (Mend("one.py", "old", "new", "why"), "one.py: 'old' occurs 2 times, not 1"),
        (Mend("gone.py", "old", "new", "why"), "gone.py: 'old' occurs 0 times, not 1"),
    ],
)
def test_a_misfit_is_named_and_nothing_is_changed(sources: Path, misfit: Mend, said: str) -> None:
    with pytest.raises(SetupError) as error:
        apply_mends(sources, [Mend("two.py", "left", "LEFT", "why"), misfit])
    assert said in str(error.value)
    assert (sources / "two.py").read_text() == "left\nright\n"
    assert not (sources / NO_OPERATORS).exists()


def test_all_misfits_are_named_at_once(sources: Path) -> None:
    with pytest.raises(SetupError) as error:
        apply_mends(sources)
    assert all(mend.file in str(error.value) for mend in MENDS)


def test_a_missing_operator_says_what_it_is(sources: Path) -> None:
    apply_mends(sources, [])
    namespace: dict[str, object] = {}
    exec((sources / NO_OPERATORS).read_text(), namespace)
    with pytest.raises(RuntimeError, match="box_iou_rotated is missing.*pure-Python build"):
        namespace["_C"].box_iou_rotated()
