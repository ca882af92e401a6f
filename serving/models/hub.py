"""Files of Hugging Face repositories over plain HTTPS, checked against the checksum that the hub announces."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import IO

from serving.models.manifest import HubSource
from serving.models.sources import Advance, FetchFailed

ENDPOINT = "https://huggingface.co"
TIMEOUT_SECONDS = 60
BLOCK_BYTES = 1 << 20


def fetch_from_hub(source: HubSource, target: Path, advance: Advance, endpoint: str | None = None) -> None:
    """Download one file; `endpoint` or $HF_ENDPOINT replaces the hub's address. Raises FetchFailed."""
    base = (endpoint or os.environ.get("HF_ENDPOINT") or ENDPOINT).rstrip("/")
    url = f"{base}/{source.repository}/resolve/{source.revision}/{urllib.parse.quote(source.path)}"
    redirects = _Redirects()
    try:
        with urllib.request.build_opener(redirects).open(url, timeout=TIMEOUT_SECONDS) as response:
            announced = (
                redirects.linked_etag or response.headers.get("X-Linked-Etag") or response.headers.get("ETag")
            )
            checksum = Checksum.announced(announced)
            size = int(response.headers.get("Content-Length") or 0)
            _save(response, target, checksum, size, advance)
    except urllib.error.HTTPError as error:
        raise FetchFailed(f"{url} answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise FetchFailed(
            f"{base} cannot be reached ({getattr(error, 'reason', error)}); HF_ENDPOINT names another address of the hub"
        ) from error
    checksum.verify(url)


class Checksum:
    """What a file's bytes must add up to: SHA-256 of large files, git's own SHA-1 of small ones."""

    def __init__(self, expected: str) -> None:
        self._expected = expected
        self._blocks: list[bytes] = []
        self._sha256 = hashlib.sha256()

    @classmethod
    def announced(cls, etag: str | None) -> Checksum:
        """From an ETag header. Raises FetchFailed where it is no checksum."""
        value = (etag or "").removeprefix("W/").strip('"').lower()
        if len(value) not in (40, 64) or set(value) - set("0123456789abcdef"):
            raise FetchFailed("the hub announced no checksum, so the file cannot be trusted")
        return cls(value)

    def update(self, block: bytes) -> None:
        self._sha256.update(block)
        if len(self._expected) == 40:
            # git hashes the size first, which is only known at the end. Files kept this way are small.
            self._blocks.append(block)

    def verify(self, what: str) -> None:
        """Raises FetchFailed where the bytes were others."""
        found = self._sha256.hexdigest() if len(self._expected) == 64 else self._git_blob()
        if found != self._expected:
            raise FetchFailed(f"{what} came with checksum {found}, but the hub announced {self._expected}")

    def _git_blob(self) -> str:
        content = b"".join(self._blocks)
        return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows the hub to its storage and keeps the checksum, which only the first answer carries."""

    linked_etag: str | None = None

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        self.linked_etag = headers.get("X-Linked-Etag") or self.linked_etag
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _save(response: IO[bytes], target: Path, checksum: Checksum, size: int, advance: Advance) -> None:
    done = 0
    with target.open("wb") as file:
        while block := response.read(BLOCK_BYTES):
            file.write(block)
            checksum.update(block)
            done += len(block)
            advance(min(1.0, done / size) if size else 0.0)
