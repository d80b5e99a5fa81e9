"""What the set-up's tests share: a Python with made-up packages, and a pip that has no network."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from install.environment import Environment

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def offline(tmp_path: Path) -> dict[str, str]:
    """Environment variables with which pip knows no index but a closed port of this machine."""
    left = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    proxies = {"http_proxy", "https_proxy", "all_proxy"}
    left = {name: value for name, value in left.items() if name.lower() not in proxies}
    return {
        **left,
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_RETRIES": "0",
    }


@pytest.fixture
def environment(tmp_path: Path, offline: dict[str, str]) -> Environment:
    """The Python that runs the tests, as a user's environment without network."""
    return Environment(Path(sys.executable), False, tmp_path / "records" / "setup.log", offline)


@pytest.fixture
def pretend(tmp_path: Path, environment: Environment) -> Callable[..., None]:
    """Makes a package seem installed for the environment's commands: its version and its files."""
    site = tmp_path / "site"
    environment.environ["PYTHONPATH"] = str(site)

    def make(name: str, version: str, **modules: str) -> None:
        """Args: the distribution, its version, and the source of each module of the package."""
        info = site / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (site / name).mkdir()
        for module, source in {"__init__": "", **modules}.items():
            (site / name / f"{module}.py").write_text(source)

    return make
