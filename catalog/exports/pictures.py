"""The picture files of an export: renditions, which carry no metadata, or the originals as they came."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from sqlalchemy import select

from catalog import originals
from catalog.blobs import BlobStore
from catalog.database import Database
from catalog.errors import MissingBlob
from catalog.exports.names import ending
from catalog.manifests import FrozenItem
from catalog.schema import Image
from pictures.renditions import size_of

ENDINGS = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "GIF": ".gif",
    "TIFF": ".tif",
    "AVIF": ".avif",
    "JPEG2000": ".jp2",
    "HEIF": ".heic",
}
"""By Pillow's names of formats; readers of folders know a picture by its ending."""
_KNOWN = {*ENDINGS.values(), ".jpeg", ".jpe", ".tiff", ".j2k", ".heif"}


class Pictures(Protocol):
    """Which file of an item is exported; `local` has its bytes on this disk, compared with their hash.

    `size` is its width and height in pixels, once its file is here.
    """

    def ending(self, item: FrozenItem) -> str: ...

    def sha256(self, item: FrozenItem) -> str: ...

    def local(self, item: FrozenItem) -> AbstractContextManager[Path]: ...

    def size(self, item: FrozenItem, file: Path) -> tuple[int, int]: ...


class Watched:
    """Pictures of which somebody is told each time that one is read."""

    def __init__(self, pictures: Pictures, told: Callable[[], object]) -> None:
        self._pictures = pictures
        self._told = told
        self.ending, self.sha256, self.size = pictures.ending, pictures.sha256, pictures.size

    def local(self, item: FrozenItem) -> AbstractContextManager[Path]:
        self._told()
        return self._pictures.local(item)


class Renditions:
    """The small JPEG of each photo, without metadata and without positions."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    def ending(self, item: FrozenItem) -> str:
        return ".jpg"

    def sha256(self, item: FrozenItem) -> str:
        return item.rendition

    def local(self, item: FrozenItem) -> AbstractContextManager[Path]:
        """Raises MissingBlob."""
        return self._blobs.local(item.rendition)

    def size(self, item: FrozenItem, file: Path) -> tuple[int, int]:
        return size_of(file)


class Originals:
    """The very bytes that were imported, with whatever they say of camera, place and people.

    Those that were left where they are, are read there.
    """

    def __init__(self, blobs: BlobStore, database: Database) -> None:
        self._blobs = blobs
        self._database = database

    def ending(self, item: FrozenItem) -> str:
        """Its own, unless nobody would know a picture by it."""
        own = ending(item.path)
        if own.lower() in _KNOWN:
            return own
        with self._database.reading() as session:
            format = session.scalar(select(Image.format).where(Image.sha256 == item.sha256))
        return ENDINGS.get(format or "", own or ".jpg")

    def sha256(self, item: FrozenItem) -> str:
        return item.sha256

    def local(self, item: FrozenItem) -> AbstractContextManager[Path]:
        """Raises MissingBlob, also for a file that was left somewhere and is not what it was."""
        with self._database.reading() as session:
            image = session.scalar(select(Image).where(Image.sha256 == item.sha256))
            if image is None:
                raise MissingBlob(f"the original of {item.path} was deleted; export renditions instead")
            return originals.local_file(session, self._blobs, image)

    def size(self, item: FrozenItem, file: Path) -> tuple[int, int]:
        return item.width, item.height
