"""Against a real HTTP server that answers as the hub does: large files by redirect to a storage, small ones directly."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from serving.models.hub import fetch_from_hub
from serving.models.manifest import HubSource
from serving.models.sources import FetchFailed

LARGE = b"encoder" * 1000
SMALL = b"tokens"
BASE = "/group/model/resolve/abc"


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Hub(BaseHTTPRequestHandler):
    """Addresses and their answers: status, headers, body."""

    answers = {
        f"{BASE}/large.onnx": (
            302,
            {"Location": "/storage/1", "X-Linked-Etag": f'"{hashlib.sha256(LARGE).hexdigest()}"'},
            b"",
        ),
        "/storage/1": (200, {"ETag": '"of-the-storage"'}, LARGE),
        f"{BASE}/changed.onnx": (302, {"Location": "/storage/1", "X-Linked-Etag": f'"{"0" * 64}"'}, b""),
        f"{BASE}/tokens.txt": (200, {"ETag": f'W/"{git_sha1(SMALL)}"'}, SMALL),
        f"{BASE}/changed.txt": (200, {"ETag": f'"{"0" * 40}"'}, SMALL),
        f"{BASE}/no%20etag.txt": (200, {}, SMALL),
    }

    def do_GET(self) -> None:
        status, headers, body = self.answers.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def source(path: str) -> HubSource:
    return HubSource(repository="group/model", path=path, revision="abc")


def test_large_files_come_from_the_storage_and_match_the_hubs_sha256(endpoint, tmp_path):
    fractions: list[float] = []
    fetch_from_hub(source("large.onnx"), tmp_path / "file", fractions.append, endpoint)

    assert (tmp_path / "file").read_bytes() == LARGE
    assert fractions[-1] == 1.0


def test_small_files_match_gits_own_checksum(endpoint, tmp_path):
    fetch_from_hub(source("tokens.txt"), tmp_path / "file", lambda _: None, endpoint)

    assert (tmp_path / "file").read_bytes() == SMALL


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("changed.onnx", "came with checksum .* but the hub announced 000"),
        ("changed.txt", "came with checksum .* but the hub announced 000"),
        ("no etag.txt", "announced no checksum"),
        ("missing.onnx", r"/group/model/resolve/abc/missing\.onnx answers 404 Not Found"),
    ],
)
def test_what_cannot_be_trusted_is_refused(endpoint, tmp_path, path, message):
    with pytest.raises(FetchFailed, match=message):
        fetch_from_hub(source(path), tmp_path / "file", lambda _: None, endpoint)


def test_the_environment_moves_the_hub(endpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    fetch_from_hub(source("tokens.txt"), tmp_path / "file", lambda _: None)

    assert (tmp_path / "file").read_bytes() == SMALL


def test_a_hub_out_of_reach_is_named(tmp_path):
    with pytest.raises(FetchFailed, match=r"http://127\.0\.0\.1:1 cannot be reached .* HF_ENDPOINT"):
        fetch_from_hub(source("tokens.txt"), tmp_path / "file", lambda _: None, "http://127.0.0.1:1")
