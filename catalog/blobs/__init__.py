"""Content-addressed storage: bytes are kept once, under their SHA-256, on a local disk or in a bucket."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from catalog.errors import InvalidInput, MissingBlob
from catalog.object_storage import Bucket, S3Place
from catalog.settings import Settings

COPY_SIZE = 1 << 20  # bytes read at a time
# A backup that was killed leaves its mark; no backup takes longer.
KEPT_AT_MOST = 7 * 24 * 3600.0  # seconds


@dataclass(frozen=True)
class LeftOver:
    """What a killed process left behind, and how it goes."""

    name: str
    remove: Callable[[], None]


class BlobStore(ABC):
    """Blobs, each at `sha256[:2]/sha256`, stored whole or not at all, and proven by their hash when read.

    Every method that takes a hash raises InvalidInput for what is none; every method raises StorageFull where
    no room is left, and StorageUnavailable where the storage does not answer.
    """

    @abstractmethod
    def put(self, source: Path | bytes | IO[bytes]) -> str:
        """Store a file, bytes or the rest of a stream, and return the SHA-256.

        Bytes already there are left as they are.
        """

    @abstractmethod
    def exists(self, sha256: str) -> bool:
        """Whether bytes lie there, whole or not."""

    @abstractmethod
    def read(self, sha256: str) -> bytes:
        """The bytes of a blob. Raises MissingBlob when they are gone or no longer have this hash."""

    @abstractmethod
    def copy_to(self, sha256: str, target: Path) -> None:
        """Write a blob into a file, a piece at a time. Raises MissingBlob as `read` does."""

    @abstractmethod
    def local(self, sha256: str) -> AbstractContextManager[Path]:
        """A file of this disk with a blob's bytes, to be read while the block runs. Raises MissingBlob."""

    @abstractmethod
    def is_whole(self, sha256: str) -> bool:
        """Whether the bytes that lie there still have this hash; False also where they cannot be read."""

    @abstractmethod
    def stored_at(self, sha256: str) -> float:
        """When the blob was stored, in seconds since 1970; now, when it is gone."""

    @abstractmethod
    def set_aside(self, sha256: str) -> str:
        """Keep a blob's bytes below `damaged/`, where nothing reads them, and say where.

        The key is free for good ones.
        """

    @abstractmethod
    def left_overs(self, *, older_than: float) -> Iterator[LeftOver]:
        """What killed processes never finished storing, at least so many seconds old."""

    @abstractmethod
    def kept(self) -> AbstractContextManager[None]:
        """While the block runs, nobody deletes blobs; the doctor finds what was to be deleted meanwhile."""

    @abstractmethod
    def delete(self, sha256: str) -> None:
        """Remove a blob, unless a backup is being made."""

    @abstractmethod
    def keys(self) -> Iterator[str]:
        """Every stored key, in no order."""


def open_blobs(settings: Settings) -> BlobStore:
    """The store that the settings name; a process that forks uses it afterwards only, as obstore asks."""
    from catalog.blobs.local import LocalBlobs
    from catalog.blobs.s3 import S3Blobs

    if isinstance(settings.blobs, S3Place):
        return S3Blobs(Bucket(settings.blobs, settings.s3), staging=settings.cache / "blobs")
    return LocalBlobs(settings.blobs)


def key_path(sha256: str) -> str:
    """Where a blob lies below its store. Raises InvalidInput, so that no key leaves the store."""
    if not is_key(sha256):
        raise InvalidInput(f"{sha256!r} is no SHA-256 in lower-case hexadecimal")
    return f"{sha256[:2]}/{sha256}"


def is_key(name: str) -> bool:
    """Whether a name is a SHA-256 in lower-case hexadecimal."""
    return len(name) == 64 and set(name) <= set("0123456789abcdef")


def sha256_of_rest(file: IO[bytes]) -> str:
    """The hash of what is left to read of a file."""
    digest = hashlib.sha256()
    while piece := file.read(COPY_SIZE):
        digest.update(piece)
    return digest.hexdigest()


def missing(sha256: str) -> MissingBlob:
    return MissingBlob(f"blob {sha256} is missing from the store; restore it from a backup")


def damaged(sha256: str) -> MissingBlob:
    return MissingBlob(
        f"blob {sha256} is damaged: its bytes are no longer those that were stored; restore it from a backup"
    )
