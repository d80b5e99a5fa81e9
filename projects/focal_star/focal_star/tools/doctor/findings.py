"""The findings about this machine, one line each."""

from dataclasses import dataclass

OK, WARNING, FAULT = "ok", "warning", "fault"


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        state: ``ok``; ``warning`` if a training starts but may give poor results; ``fault`` if it
            does not start.
        about: what was checked, in a word or two.
        text: what was found and, unless it is ok, what to do.
    """

    state: str
    about: str
    text: str

    def __str__(self) -> str:
        return f"{self.state:8} {self.about}: {self.text}"
