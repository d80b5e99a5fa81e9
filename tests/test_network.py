"""Importing the packages does not use the network."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

WITHOUT_NETWORK = """
import sys

def refuse(event, arguments):
    if event.startswith("socket.") and event != "socket.__new__" or event == "urllib.Request":
        raise PermissionError(f"{event}: {arguments}")

sys.addaudithook(refuse)
"""

IMPORT_ALL = """
import importlib, pkgutil
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for found in pkgutil.walk_packages(package.__path__, name + "."):
        importlib.import_module(found.name)
        print(found.name)
"""


def run(code: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_NETWORK + code, *arguments],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip


def test_no_module_needs_the_network_to_be_imported():
    packages = ("ablations", "benchmarks", "focal_star", "install", "reports")
    ended = run(IMPORT_ALL, *packages)
    assert ended.returncode == 0, ended.stderr
    modules = ended.stdout.splitlines()
    for package in packages:
        assert any(name.startswith(f"{package}.") for name in modules)


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.getaddrinfo('localhost', 80)",
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9')",
    ],
)
def test_use_of_the_network_is_detected(code):
    ended = run(code)
    assert ended.returncode == 1 and "PermissionError: " in ended.stderr
