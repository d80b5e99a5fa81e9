"""The set-up that `make setup` runs. It needs only the standard library, as it runs first.

`python3 -m install` from the repository's root is the program.
"""

import sys

MIN_PYTHON = (3, 10)


def refusal(version, executable):
    """Why a Python is too old for this project, in one line; None where it is not.

    No type hints, and the syntax of old Pythons here: they must get as far as this line.

    Args:
        version (tuple): `sys.version_info` of the Python in question, or its first fields.
        executable (str): its path.
    """
    if tuple(version[:2]) >= MIN_PYTHON:
        return None
    return (
        "make setup: this project needs Python {}.{} or newer, and {} is {}. Put a newer python3 "
        "first in PATH, or make an environment with one (python3.12 -m venv ENV) and name it: "
        "make setup PYTHON=ENV/bin/python"
    ).format(MIN_PYTHON[0], MIN_PYTHON[1], executable, ".".join(map(str, version[:3])))  # noqa: UP032


if refusal(sys.version_info, sys.executable):
    sys.exit(refusal(sys.version_info, sys.executable))
