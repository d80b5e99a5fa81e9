"""The groups of a report's contents, and the sections that are unfolded at first."""

from collections.abc import Sequence
from dataclasses import dataclass

from reports.page.blocks import Section

GROUPS = {
    "Result": ("answer", "tuning", "best", "reading", "headline"),
    "Ablations": (),
    "Comparison": ("moved", "others", "single", "unused"),
    "Closer look": (
        "two_rows", "accuracy", "training_length", "per_class", "errors", "safety", "pictures",
        "training",
    ),
    "Background": ("losses", "dataset", "references"),
    "Provenance": ("making", "runs", "endings"),
}  # fmt: skip
"""Title of a group -> the anchors of its sections; a section without a group is a table of
``Ablations``.
"""

UNFOLDED, UNFOLDED_SECTIONS = ("Result", "Comparison"), ("map",)
"""The titles of groups, and the anchors of sections in other groups."""


@dataclass(frozen=True)
class Group:
    """Sections under a common title in the contents."""

    title: str
    sections: Sequence[Section]

    def is_unfolded(self, section: Section) -> bool:
        return self.title in UNFOLDED or section.anchor in UNFOLDED_SECTIONS

    @property
    def anchor(self) -> str:
        return "contents-" + self.title.lower().replace(" ", "-")


def grouped(sections: Sequence[Section]) -> list[Group]:
    """The groups that have sections, in the order of ``GROUPS``."""
    group_of = {anchor: title for title, anchors in GROUPS.items() for anchor in anchors}
    sections_of: dict[str, list[Section]] = {title: [] for title in GROUPS}
    for section in sections:
        sections_of[group_of.get(section.anchor, "Ablations")].append(section)
    return [Group(title, of_group) for title, of_group in sections_of.items() if of_group]
