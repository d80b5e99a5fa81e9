"""The findings about this machine, one line each."""

from dataclasses import dataclass

OK, WARNING, FAULT = "ok", "warning", "fault"


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        state: ``ok``; ``warning`` where a training starts and may disappoint; ``fault`` where it
            does not start.
        about: the checked thing, in a word or two.
        text: what is there, and what to do where it is not well.
    """

    state: str
    about: str
    text: str

    def __str__(self) -> str:
        return f"{self.state:8} {self.about}: {self.text}"
