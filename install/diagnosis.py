"""What a failed command's output means: one line with the remedy."""

import re

# The first that matches is the answer, so the more telling ones stand first: an index that cannot
# be reached also ends in "No matching distribution found".
CAUSES = (
    (
        r"DO NOT MATCH THE HASHES",
        "the downloaded file is not the pinned one (its sha256 differs), so nothing of it was run. "
        "Look where pip gets it from (pip config list), then run make setup again",
    ),
    (
        r"No space left on device",
        "the disk is full. Free some space (torch with CUDA takes about 7 GB, and 3 GB more while "
        "it is installed), then run make setup again",
    ),
    (
        r"externally-managed-environment",
        "this Python belongs to the operating system and takes no packages. Leave PYTHON out, so "
        "that .venv is made, or name the Python of a virtual environment",
    ),
    (
        r"Permission denied|\[Errno 13\]",
        "a file or folder of the environment cannot be written. Use an environment of your own "
        "(leave PYTHON out, and .venv is made)",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLError",
        "the package index's certificate is not trusted. Behind a proxy that has its own, name its "
        "certificate in PIP_CERT, then run make setup again",
    ),
    (
        r"NewConnectionError|Failed to establish a new connection|ConnectTimeoutError"
        r"|ReadTimeoutError|Read timed out|Connection refused|ConnectionResetError"
        r"|Name or service not known|Temporary failure in name resolution"
        r"|Network is unreachable|ProxyError|Failed to connect to|IncompleteRead"
        r"|Connection broken|Unable to connect to",
        "the package index cannot be reached. Check the network, the proxy and pip's settings "
        "(pip config list), then run make setup again",
    ),
    (
        r"ResolutionImpossible",
        "what this environment holds and what the project needs exclude each other. Use an "
        "environment with newer packages, or leave PYTHON out, and .venv is made",
    ),
)

NOT_ON_INDEX = re.compile(r"No matching distribution found for (\S+)")
# pip found no version at all, and does not say why where it is told not to try again.
NOTHING_FOUND = "(from versions: none)"

# Lines that say what went wrong: pip's own, and an exception's, be it from pip or from a build
# whose output pip passes on. pip's names for the kind of failure say nothing.
TELLING = re.compile(
    r"^\s*(?:(?:error|ERROR): "
    r"(?!subprocess-exited|metadata-generation|failed-wheel|legacy-install)(.+)"
    r"|((?:\w+\.)*\w*(?:Error|Exception): .+))$",
    re.MULTILINE,
)


def diagnose(output: str) -> str:
    """One line on why a command failed, with the remedy.

    Args:
        output: all that the command printed; pip's, mostly.
    """
    for pattern, meaning in CAUSES:
        if re.search(pattern, output):
            return meaning
    missing = NOT_ON_INDEX.search(output)
    if missing and NOTHING_FOUND in output:
        return (
            f"pip finds no {missing.group(1)} anywhere: the package index cannot be reached, or it "
            "is not the right one. Check the network, the proxy and pip's settings (pip config "
            "list), then run make setup again"
        )
    if missing:
        return (
            f"the package index has no {missing.group(1)} for this Python and platform. Try "
            "another Python version, or see which index pip uses (pip config list)"
        )
    return f"{telling_line(output)}. Mend that, then run make setup again"


def telling_line(output: str) -> str:
    """The line of some output that says most: the last error in it, else the last line."""
    errors = [first or second for first, second in TELLING.findall(output)]
    lines = errors or [line for line in output.splitlines() if line.strip()]
    return lines[-1].strip().rstrip(".") if lines else "the command failed without a word"
