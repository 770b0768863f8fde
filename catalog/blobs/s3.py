"""Blobs as objects below a prefix of a bucket; files of this disk hold them only while they are used."""

import hashlib
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import IO
from uuid import uuid4

from catalog.blobs import (
    COPY_SIZE,
    KEPT_AT_MOST,
    BlobStore,
    LeftOver,
    damaged,
    is_key,
    key_path,
    missing,
    sha256_of_rest,
)
from catalog.errors import Conflict, MissingBlob, StorageUnavailable
from catalog.object_storage import PART, Bucket
from catalog.space import room_in

DAMAGED = "damaged"
KEPT = "kept"
FETCHED = "fetched-"
# Bytes that changed on their way are right the next time; those that changed in the bucket never are.
READINGS = 3


class S3Blobs(BlobStore):
    """Blobs in a bucket. `staging` is a folder of this disk for copies that somebody reads as a file."""

    def __init__(self, bucket: Bucket, *, staging: Path) -> None:
        self.bucket = bucket
        self.staging = staging

    def put(self, source: Path | bytes | IO[bytes]) -> str:
        if isinstance(source, Path):
            with source.open("rb") as file:
                return self._put_file(file)
        if isinstance(source, bytes):
            return self._put_file(BytesIO(source))
        with self._spooled(source) as spooled:
            return self._put_file(spooled)

    def exists(self, sha256: str) -> bool:
        return self.bucket.modified(key_path(sha256)) is not None

    def read(self, sha256: str) -> bytes:
        received = BytesIO()
        self._receive(sha256, received)
        return received.getvalue()

    def copy_to(self, sha256: str, target: Path) -> None:
        with room_in(target.parent), target.open("wb") as file:
            self._receive(sha256, file)

    @contextmanager
    def local(self, sha256: str) -> Iterator[Path]:
        staging = self._prepared()
        with room_in(staging):
            file = Path(tempfile.mkdtemp(prefix=FETCHED, dir=staging), sha256)
        try:
            self.copy_to(sha256, file)
            yield file
        finally:
            _discard(file.parent)

    def is_whole(self, sha256: str) -> bool:
        try:
            self._receive(sha256, None)
        except MissingBlob:
            return False
        return True

    def stored_at(self, sha256: str) -> float:
        return self.bucket.modified(key_path(sha256)) or time.time()

    def set_aside(self, sha256: str) -> str:
        self.bucket.move(key_path(sha256), f"{DAMAGED}/{sha256}")
        return f"{self.bucket.place}/{DAMAGED}/{sha256}"

    def left_overs(self, *, older_than: float) -> Iterator[LeftOver]:
        for folder in self.staging.glob(f"{FETCHED}*"):
            with suppress(FileNotFoundError):
                if folder.stat().st_mtime < time.time() - older_than:
                    yield LeftOver(folder.name, partial(_discard, folder))
        for mark in self.bucket.listed(KEPT):
            if mark.modified < time.time() - KEPT_AT_MOST:
                yield LeftOver(mark.path, partial(self.bucket.remove, mark.path))

    @contextmanager
    def kept(self) -> Iterator[None]:
        mark = f"{KEPT}/{uuid4().hex}"
        self.bucket.create(mark, b"")
        try:
            yield
        finally:
            with suppress(StorageUnavailable):  # It ages then, and the doctor removes it.
                self.bucket.remove(mark)

    def delete(self, sha256: str) -> None:
        recently = time.time() - KEPT_AT_MOST
        if not any(mark.modified > recently for mark in self.bucket.listed(KEPT)):
            self.bucket.remove(key_path(sha256))

    def keys(self) -> Iterator[str]:
        for stored in self.bucket.listed():
            folder, _, name = stored.path.partition("/")
            if is_key(name) and folder == name[:2]:
                yield name

    def _put_file(self, file: IO[bytes]) -> str:
        """Store what a file of this disk holds, large ones in parts."""
        content = file.read(PART + 1)
        if len(content) <= PART:
            sha256 = hashlib.sha256(content).hexdigest()
            self.bucket.create(key_path(sha256), content)
            return sha256
        del content
        file.seek(0)
        sha256 = sha256_of_rest(file)
        if not self.exists(sha256):
            file.seek(0)
            self.bucket.upload(key_path(sha256), _proven(file, sha256))
        return sha256

    @contextmanager
    def _spooled(self, source: IO[bytes]) -> Iterator[IO[bytes]]:
        """The rest of a stream as a file, whose key is known before the first byte leaves."""
        with tempfile.SpooledTemporaryFile(max_size=PART, dir=str(self._prepared())) as file:
            with room_in(self.staging):
                while piece := source.read(COPY_SIZE):
                    file.write(piece)
                file.seek(0)
            yield file

    def _prepared(self) -> Path:
        with room_in(self.staging):
            self.staging.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self.staging

    def _receive(self, sha256: str, target: IO[bytes] | None) -> None:
        """Read a blob until its hash is right, READINGS times at most; what was read is in `target`."""
        for _ in range(READINGS):
            digest = hashlib.sha256()
            if target:
                target.seek(0)
                target.truncate()
            try:
                for piece in self.bucket.pieces(key_path(sha256)):
                    digest.update(piece)
                    if target:
                        target.write(piece)
            except FileNotFoundError:
                raise missing(sha256) from None
            if digest.hexdigest() == sha256:
                return
        raise damaged(sha256)


def _proven(file: IO[bytes], sha256: str) -> Iterator[bytes]:
    """The parts of a file, the last one only when all of them together still have this hash.

    Raises Conflict when somebody changed the file since it was hashed.
    """
    digest, held = hashlib.sha256(), b""
    while part := file.read(PART):
        digest.update(part)
        if held:
            yield held
        held = part
    if digest.hexdigest() != sha256:
        raise Conflict("the file changed while it was stored; store it again")
    yield held


def _discard(folder: Path) -> None:
    """Remove a folder with the one file in it, whatever is there of it."""
    with suppress(FileNotFoundError):
        for file in folder.iterdir():
            file.unlink(missing_ok=True)
        folder.rmdir()
