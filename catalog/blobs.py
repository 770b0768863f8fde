"""Content-addressed storage: bytes are kept once, under their SHA-256."""

import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO

from catalog.errors import InvalidInput, MissingBlob

COPY_SIZE = 1 << 20  # bytes read at a time
STAGED = "staged-"
DAMAGED = "damaged"
KEPT = "kept-"
# A backup that was killed leaves its mark; no backup takes longer.
KEPT_AT_MOST = 7 * 24 * 3600.0  # seconds


class BlobStore:
    """Blobs in a folder of the local disk, each at `sha256[:2]/sha256`, written whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, source: Path | bytes | IO[bytes]) -> str:
        """Store a file, bytes or the rest of a stream, and return the SHA-256.

        Bytes already there are left as they are.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, staged = tempfile.mkstemp(prefix=STAGED, dir=self.folder)
        try:
            with os.fdopen(descriptor, "wb") as target:
                sha256 = _copy(source, target)
                target.flush()
                os.fsync(target.fileno())
            path = self.path(sha256)
            path.parent.mkdir(exist_ok=True, mode=0o700)
            if not path.exists():
                os.replace(staged, path)
        finally:
            Path(staged).unlink(missing_ok=True)
        return sha256

    def path(self, sha256: str) -> Path:
        """Where a blob lies. Raises InvalidInput for what is no SHA-256, so that no key leaves the folder."""
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise InvalidInput(f"{sha256!r} is no SHA-256 in lower-case hexadecimal")
        return self.folder / sha256[:2] / sha256

    def exists(self, sha256: str) -> bool:
        return self.path(sha256).exists()

    def read(self, sha256: str) -> bytes:
        """The bytes of a blob. Raises MissingBlob when they are gone or no longer have this hash."""
        try:
            data = self.path(sha256).read_bytes()
        except FileNotFoundError:
            raise MissingBlob(f"blob {sha256} is missing from the store; restore it from a backup") from None
        except OSError as error:
            raise MissingBlob(f"blob {sha256} cannot be read: {error.strerror}; check the disk") from error
        if hashlib.sha256(data).hexdigest() != sha256:
            raise MissingBlob(
                f"blob {sha256} is damaged: its bytes changed on disk; restore it from a backup"
            )
        return data

    def is_whole(self, sha256: str) -> bool:
        """Whether the bytes that lie there still have this hash; False also where they cannot be read."""
        try:
            with self.path(sha256).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == sha256
        except OSError:
            return False

    def stored_at(self, sha256: str) -> float:
        """When the blob was stored, in seconds since 1970; now, when it is gone."""
        return _modified(self.path(sha256)) or time.time()

    def set_aside(self, sha256: str) -> Path:
        """Keep a blob's bytes under `damaged/`, where nothing reads them; the key is free for good ones."""
        aside = self.folder / DAMAGED / sha256
        aside.parent.mkdir(exist_ok=True, mode=0o700)
        return self.path(sha256).replace(aside)

    def left_overs(self, *, older_than: float) -> Iterator[Path]:
        """Files that a killed process never finished storing, at least so many seconds old."""
        for path in self.folder.glob(f"{STAGED}*"):
            if (_modified(path) or time.time()) < time.time() - older_than:
                yield path

    @contextmanager
    def kept(self) -> Iterator[None]:
        """While the block runs, nobody deletes blobs; the doctor finds what was to be deleted meanwhile."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(prefix=KEPT, dir=self.folder):
            yield

    def delete(self, sha256: str) -> None:
        """Remove a blob, unless a backup is being made."""
        recently = time.time() - KEPT_AT_MOST
        if not any((_modified(mark) or 0) > recently for mark in self.folder.glob(f"{KEPT}*")):
            self.path(sha256).unlink(missing_ok=True)

    def keys(self) -> Iterator[str]:
        """Every stored key, in no order."""
        for path in self.folder.glob("??/*"):
            yield path.name


def _copy(source: Path | bytes | IO[bytes], target: IO[bytes]) -> str:
    if isinstance(source, Path):
        with source.open("rb") as file:
            return _copy(file, target)
    digest, stream = hashlib.sha256(), BytesIO(source) if isinstance(source, bytes) else source
    while piece := stream.read(COPY_SIZE):
        digest.update(piece)
        target.write(piece)
    return digest.hexdigest()


def _modified(path: Path) -> float | None:
    """When a file was last written, in seconds since 1970; None when somebody has removed it meanwhile."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None
