"""What a look at this machine finds: one line each."""

from dataclasses import dataclass

OK, WARNING, FAULT = "ok", "warning", "fault"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        state: ``ok``; ``warning`` where a training starts and may disappoint; ``fault`` where it
            does not start.
        about: what was looked at, in a word or two.
        text: what is there, and what to do where it is not well.
    """

    state: str
    about: str
    text: str

    def __str__(self) -> str:
        return f"{self.state:8} {self.about}: {self.text}"
