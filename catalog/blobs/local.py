"""Blobs in a folder of the local disk, written to a staged file, flushed and renamed."""

import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import IO

from catalog.blobs import (
    COPY_SIZE,
    KEPT_AT_MOST,
    BlobStore,
    LeftOver,
    damaged,
    key_path,
    missing,
    sha256_of_rest,
)
from catalog.errors import MissingBlob
from catalog.space import is_full, room_in

STAGED = "staged-"
DAMAGED = "damaged"
KEPT = "kept-"


class LocalBlobs(BlobStore):
    """Blobs in a folder that all processes see."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, source: Path | bytes | IO[bytes]) -> str:
        with room_in(self.folder):
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
        """Where a blob lies. Raises InvalidInput for what is no SHA-256."""
        return self.folder / key_path(sha256)

    def exists(self, sha256: str) -> bool:
        return self.path(sha256).exists()

    def read(self, sha256: str) -> bytes:
        with self._opened(sha256) as file:
            data = file.read()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise damaged(sha256)
        return data

    def copy_to(self, sha256: str, target: Path) -> None:
        with room_in(target.parent), target.open("wb") as copy, self._opened(sha256) as file:
            if _copy(file, copy) != sha256:
                raise damaged(sha256)

    @contextmanager
    def local(self, sha256: str) -> Iterator[Path]:
        with self._opened(sha256) as file:
            if sha256_of_rest(file) != sha256:
                raise damaged(sha256)
        yield self.path(sha256)

    def is_whole(self, sha256: str) -> bool:
        try:
            with self.path(sha256).open("rb") as file:
                return sha256_of_rest(file) == sha256
        except OSError:
            return False

    def stored_at(self, sha256: str) -> float:
        return _modified(self.path(sha256)) or time.time()

    def set_aside(self, sha256: str) -> str:
        path, aside = self.path(sha256), self.folder / DAMAGED / sha256
        aside.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return str(path.replace(aside))

    def left_overs(self, *, older_than: float) -> Iterator[LeftOver]:
        for path in self.folder.glob(f"{STAGED}*"):
            if (_modified(path) or time.time()) < time.time() - older_than:
                yield LeftOver(path.name, partial(path.unlink, missing_ok=True))

    @contextmanager
    def kept(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(prefix=KEPT, dir=self.folder):
            yield

    def delete(self, sha256: str) -> None:
        recently = time.time() - KEPT_AT_MOST
        if not any((_modified(mark) or 0) > recently for mark in self.folder.glob(f"{KEPT}*")):
            self.path(sha256).unlink(missing_ok=True)

    def keys(self) -> Iterator[str]:
        for path in self.folder.glob("??/*"):
            yield path.name

    @contextmanager
    def _opened(self, sha256: str) -> Iterator[IO[bytes]]:
        try:
            with self.path(sha256).open("rb") as file:
                yield file
        except FileNotFoundError:
            raise missing(sha256) from None
        except OSError as error:
            if is_full(error):
                raise
            raise MissingBlob(f"blob {sha256} cannot be read: {error.strerror}; check the disk") from error


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
