"""``python -m install.audit``: are there published vulnerabilities of what is installed here?

pip-audit asks the advisory database of the package index. It ends well, too, where it could not ask
about a package; here such packages are told, and the audit is clean only if none is left out.

Exit codes: 0 clean, 1 vulnerabilities, 2 packages that could not be asked about.
"""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

OURS = ("focal-star", "detectron2", "detectron2-cdo")
"""Not on the index under these names: this project, and the Detectron2 that its set-up makes."""

COMMAND = (
    "-m", "pip_audit", "--format", "json", "--local", "--skip-editable", "--progress-spinner",
    "off", "--desc", "off",
)  # fmt: skip

MOST_NAMED = 5


@dataclass
class Audit:
    """What pip-audit says.

    Attributes:
        vulnerable: one line for each vulnerability.
        asked: the packages that the database was asked about.
        left_out: the packages that it could not be asked about, ours aside.
    """

    vulnerable: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @property
    def code(self) -> int:
        if self.vulnerable:
            return 1
        return 2 if self.left_out or not self.asked else 0

    def text(self) -> str:
        """The result in words."""
        lines = list(self.vulnerable)
        if self.left_out or not self.asked:
            names = ", ".join(self.left_out[:MOST_NAMED])
            rest = len(self.left_out) - MOST_NAMED
            lines.append(
                f"{len(self.left_out)} packages could not be audited"
                + (f": {names}{f' and {rest} more' if rest > 0 else ''}" if names else "")
                + "; the advisory database must be within reach"
            )
        clean = "" if self.code else ", no known vulnerability"
        return "\n".join([*lines, f"{len(self.asked)} packages were audited{clean}"])


def read(content: dict[str, Any]) -> Audit:
    """What pip-audit's JSON says."""
    found = Audit()
    for package in content["dependencies"]:
        name = package["name"]
        if "skip_reason" in package:
            if name.lower().replace("_", "-") not in OURS:
                found.left_out.append(name)
            continue
        found.asked.append(name)
        for one in package["vulns"]:
            mended = ", ".join(one["fix_versions"]) or "no version yet"
            line = f"{name} {package['version']}: {one['id']}, mended in {mended}"
            found.vulnerable.append(line)
    return found


def main() -> int:
    """Return one of the exit codes."""
    ended = subprocess.run([sys.executable, *COMMAND], capture_output=True, text=True, check=False)
    try:
        audit = read(json.loads(ended.stdout))
    except ValueError:
        last = (ended.stderr.strip().splitlines() or ["it says nothing"])[-1]
        print(f"audit: pip-audit failed: {last}", file=sys.stderr)
        return 2
    print(audit.text(), file=sys.stderr if audit.code else sys.stdout)
    return audit.code


if __name__ == "__main__":
    sys.exit(main())
