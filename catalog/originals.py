"""Originals that were left where they are: read only, and only while they are what was imported."""

import hashlib
import os
import stat
from contextlib import AbstractContextManager, nullcontext
from io import BufferedReader
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog.blobs import BlobStore
from catalog.errors import MissingBlob
from catalog.schema import Image, Item, Role, User

REMEDY = (
    "put the file back as it was, or import the folder where it lies now again with --reference "
    "into the same collection"
)


def trouble(reference: str, image: Image, *, every_byte: bool = True) -> str | None:
    """What is wrong with a file as an image's original, if anything; its bytes are read if `every_byte`."""
    try:
        with _opened(reference) as file:
            return _difference(file, image, every_byte=every_byte)
    except FileNotFoundError:
        return "is no longer there"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def references(session: Session, image: Image) -> list[str]:
    """The files that hold the original of an image, those of the oldest items first."""
    query = select(Item.reference).where(Item.image_id == image.id, Item.reference.is_not(None))
    return list(dict.fromkeys(path for path in session.scalars(query.order_by(Item.id)) if path))


def open_referenced(session: Session, item: Item, *, viewer: User | None) -> BufferedReader:
    """The original of an item whose image is not stored, open at its start, its bytes compared before.

    Where the item's own file is not what was imported, another that holds the same picture does as well.
    Raises MissingBlob where there is none; only admins and the command line (None) are told the path.
    """
    paths = list(dict.fromkeys([*filter(None, [item.reference]), *references(session, item.image)]))
    for path in paths:
        if (file := _whole(path, item.image)) is not None:
            return file
    if not paths or (viewer and viewer.role is not Role.ADMIN):
        raise MissingBlob(f"the original of {item.path} is not where it was left; tell an admin")
    why = trouble(paths[0], item.image) or "has just changed"
    raise MissingBlob(f"the original of {item.path} was left at {paths[0]}, and it {why}; {REMEDY}")


def local_file(session: Session, blobs: BlobStore, image: Image) -> AbstractContextManager[Path]:
    """The original of an image as a file to be read again, of the blobs or where it was left.

    Raises MissingBlob where it was left somewhere and is not what it was.
    """
    if image.stored:
        return blobs.local(image.sha256)
    paths = references(session, image)
    whole = next((path for path in paths if trouble(path, image) is None), None)
    if whole is None:
        where = f"was left at {paths[0]} and is not what it was" if paths else "is nowhere"
        raise MissingBlob(f"the original of {image.sha256[:12]} {where}; {REMEDY}")
    return nullcontext(Path(whole))


def _whole(path: str, image: Image) -> BufferedReader | None:
    """The file, open, if its bytes are the image's: those who read on read from what was compared."""
    try:
        file = _opened(path)
    except OSError:
        return None
    try:
        if _difference(file, image) is None:
            file.seek(0)
            return file
    except OSError:
        pass
    file.close()
    return None


def _difference(file: BufferedReader, image: Image, *, every_byte: bool = True) -> str | None:
    if os.fstat(file.fileno()).st_size != image.bytes:
        return "has changed: its size is another"
    if every_byte and hashlib.file_digest(file, "sha256").hexdigest() != image.sha256:
        return "has changed: its bytes are others"
    return None


def _opened(path: str) -> BufferedReader:
    """A plain file, open for reading. What else may lie there now, such as a pipe, is not waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "it is no plain file any more", path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise
