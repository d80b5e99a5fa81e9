import json
import subprocess

import pytest

from install import audit

CLEAN = {"name": "numpy", "version": "2.4.0", "vulns": []}
OURS = {"name": "focal_star", "skip_reason": "not found"}
LEFT_OUT = {"name": "torch", "skip_reason": "not found"}
VULNERABLE = {
    "name": "pillow",
    "version": "9.0.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["9.0.1"]}, {"id": "PYSEC-2", "fix_versions": []}],
}


@pytest.mark.parametrize(
    ("packages", "code", "words"),
    [
        ([CLEAN, OURS], 0, "1 packages were audited, no known vulnerability"),
        ([CLEAN, VULNERABLE], 1, "pillow 9.0.0: PYSEC-1, mended in 9.0.1"),
        ([CLEAN, VULNERABLE, LEFT_OUT], 1, "pillow 9.0.0: PYSEC-2, mended in no version yet"),
        ([CLEAN, LEFT_OUT], 2, "1 packages could not be audited: torch; the advisory database"),
        ([LEFT_OUT | {"name": f"p{i}"} for i in range(7)], 2, "p0, p1, p2, p3, p4 and 2 more"),
        ([OURS], 2, "0 packages were audited"),
        ([], 2, "0 packages could not be audited; the advisory database must be within reach"),
    ],
)
def test_an_audit_is_clean_only_if_all_was_asked_about(monkeypatch, capsys, packages, code, words):
    def run(command, **_):
        assert command[1:3] == ["-m", "pip_audit"]
        return subprocess.CompletedProcess(command, 0, json.dumps({"dependencies": packages}), "")

    monkeypatch.setattr(subprocess, "run", run)
    assert audit.main() == code
    said = capsys.readouterr()
    assert words in (said.err if code else said.out)


def test_an_audit_that_fails_says_why(monkeypatch, capsys):
    def run(command, **_):
        return subprocess.CompletedProcess(command, 1, "", "...\nNo module named pip_audit")

    monkeypatch.setattr(subprocess, "run", run)
    assert audit.main() == 2
    assert "pip-audit failed: No module named pip_audit" in capsys.readouterr().err
