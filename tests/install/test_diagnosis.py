"""Failed commands are explained in one line with the remedy."""

import pytest

from install.diagnosis import diagnose
from install.running import Runner, SetupError
from install.target import Target

REFUSED_PIP_23 = """\
WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) after \
connection broken by 'NewConnectionError('<pip._vendor.urllib3.connection.HTTPConnection object at \
0x7fe1809e1950>: Failed to establish a new connection: [Errno 111] Connection refused')': \
/simple/torch/
ERROR: Could not find a version that satisfies the requirement torch==2.15.0 (from versions: 2.9.0)
ERROR: No matching distribution found for torch==2.15.0
"""
UNKNOWN_HOST_PIP_26 = """\
WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) after \
connection broken by 'NameResolutionError("HTTPSConnection(host='index.invalid', port=443): Failed \
to resolve 'index.invalid' ([Errno -2] Name or service not known)")': /simple/torch/
ERROR: No matching distribution found for torch==2.15.0
"""

NOTHING_FOUND = """\
ERROR: Could not find a version that satisfies the requirement torch==2.15.0 (from versions: none)
ERROR: No matching distribution found for torch==2.15.0
"""
FAILED_BUILD = """\
  error: subprocess-exited-with-error
  \u00d7 Preparing metadata (pyproject.toml) did not run successfully.
      Traceback (most recent call last):
        File "<string>", line 1, in <module>
      ModuleNotFoundError: No module named 'torch'
      [end of output]
  note: This error originates from a subprocess, and is likely not a problem with pip.
error: metadata-generation-failed
hint: See above for details.
"""


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (NOTHING_FOUND, "finds no torch==2.15.0 anywhere: the package index cannot be reached, or"),
        (FAILED_BUILD, "ModuleNotFoundError: No module named 'torch'. Mend that"),
        (REFUSED_PIP_23, "index cannot be reached"),
        (UNKNOWN_HOST_PIP_26, "index cannot be reached"),
        ("ERROR: No matching distribution found for torch==2.15.0\n", "no torch==2.15.0"),
        ("ERROR: Could not install packages: [Errno 28] No space left on device", "disk is full"),
        ("error: externally-managed-environment\n", "Leave PYTHON out"),
        ("ERROR: ResolutionImpossible: for help visit", "exclude each other"),
        ("OSError: [Errno 13] Permission denied: '/usr/lib'", "cannot be written"),
        ("Traceback\n  File\nERROR: first\nERROR: Broken wheel.\n\n", "Broken wheel. Mend that"),
        ("Traceback\n  File\nImportError: libcudart.so\n", "ImportError: libcudart.so. Mend that"),
        ("", "without a word"),
    ],
)
def test_each_cause_is_told_from_the_others(output: str, said: str) -> None:
    assert said in diagnose(output)
    assert "\n" not in diagnose(output)


def test_an_index_that_refuses_connections(target: Target, runner: Runner) -> None:
    """The pip of this environment, as it is, in front of a closed port."""
    command = [target.python, "-m", "pip", "download", "--no-deps", "yacs"]
    with pytest.raises(SetupError, match="index cannot be reached.*setup again.*setup.log"):
        runner.run(command)
    assert "yacs" in runner.log.read_text()
