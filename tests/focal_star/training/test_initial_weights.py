"""Addresses of initial weights, with a server of this test's own."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from focal_star.errors import ConfigError
from focal_star.io.addresses import is_address
from focal_star.training import initial_weights


@pytest.fixture
def server() -> Iterator[str]:
    """The address of a server that has ``/models/R-50.pkl``; what it was asked is in ``asked``."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            asked.append(("HEAD", self.path))
            self.send_response(200 if self.path == "/models/R-50.pkl" else 404)
            self.end_headers()

        def do_GET(self):
            asked.append(("GET", self.path))
            self.send_response(200 if self.path == "/models/R-50.pkl" else 404)
            self.send_header("Content-Length", "7")
            self.end_headers()
            self.wfile.write(b"weights")

        def log_message(self, *_):
            pass

    asked: list[tuple[str, str]] = []
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_detectron2s_names_lead_to_its_server(cache):
    address = "detectron2://ImageNetPretrained/MSRA/R-50.pkl"
    url = "https://dl.fbaipublicfiles.com/detectron2/ImageNetPretrained/MSRA/R-50.pkl"
    assert initial_weights.url_of(address) == url == initial_weights.url_of(url)
    assert initial_weights.copy_of(address) == cache / "detectron2/ImageNetPretrained/MSRA/R-50.pkl"
    assert is_address(address) and not is_address("output/model_final.pth")


def test_asking_fetches_nothing(server, cache):
    host, asked = server
    assert initial_weights.fault_of_server(f"{host}/models/R-50.pkl") == ""
    assert initial_weights.fault_of_server(f"{host}/models/R-18.pkl") != ""
    assert {method for method, _ in asked} == {"HEAD"}
    assert not cache.exists()


def test_what_is_fetched_is_where_it_was_said_to_be(server):
    host, asked = server
    address = f"{host}/models/R-50.pkl"
    assert initial_weights.fetch(address) == initial_weights.copy_of(address)
    assert initial_weights.copy_of(address).read_bytes() == b"weights"
    initial_weights.fetch(address)
    assert [method for method, _ in asked] == ["GET"]


def test_what_cannot_be_fetched_says_where_a_copy_would_do(server):
    host, _ = server
    missing = f"{host}/models/R-18.pkl"
    with pytest.raises(
        ConfigError, match="R-18.pkl cannot be fetched .*put the file at .*R-18.pkl"
    ):
        initial_weights.fetch(missing)
    with pytest.raises(ConfigError, match="cannot be fetched"):
        initial_weights.fetch("http://127.0.0.1:9/R-50.pkl")
    assert initial_weights.fault_of_server("http://127.0.0.1:9/R-50.pkl")
