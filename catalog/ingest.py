"""Ingest: files become blobs, images and items, with a report for each file."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog import splits
from catalog.blobs import BlobStore
from catalog.collections import blob_is_used, held_by_datasets
from catalog.database import Database, lock_content
from catalog.errors import InvalidInput, NotFound
from catalog.imports.embedded import given_by_itself
from catalog.imports.rows import GivenItem
from catalog.imports.storing import keep, keep_embedded
from catalog.items import lock, next_position
from catalog.schema import Collection, Image, Item, User
from catalog.space import is_full
from catalog.text import storable
from pictures.errors import CorruptPicture, PictureError, RefusedPicture
from pictures.intake import Measured
from pictures.sandbox import DecodingProcess

IMPORTED, DUPLICATE, ALREADY_HERE = "imported", "duplicate", "already here"
STORED = (IMPORTED, DUPLICATE, ALREADY_HERE)


@dataclass(frozen=True)
class Incoming:
    """A file that waits on this disk, the path under which its item will be known, and what comes along.

    Its item comes last in the collection, or at `position`.
    One that is `referenced` is left where it is: a rendition is stored, and the item tells where it lies.
    """

    source: Path
    path: str
    given: GivenItem | None = None
    position: int | None = None
    referenced: bool = False
    sidecar: "Incoming | None" = None

    def local(self) -> AbstractContextManager[Path]:
        """The file as it lies on this disk while the block runs. Raises PictureError and OSError."""
        return nullcontext(self.source)


@dataclass(frozen=True)
class FileReport:
    """What became of one file: one of STORED, or the reason why it was left out, with the detail."""

    path: str
    status: str
    item_id: int | None
    detail: str

    @property
    def stored(self) -> bool:
        return self.status in STORED


@dataclass(frozen=True)
class Removal:
    """How many stored files a deletion removed, and how many stay; as a text, a sentence's end for people.

    Datasets hold those that are `held`, beside those `kept`.
    """

    gone: int
    kept: int
    held: int = 0

    def __str__(self) -> str:
        said = f"{self.gone} stored file{'s were' if self.gone != 1 else ' was'} removed with it"
        if self.held:
            said += f"; {self.held} stay, for datasets hold them"
        if self.kept:
            said += f"; {self.kept} stay for now, for something else needs them or a backup is being made"
        return said


def pictures_of(source: Path) -> list[Incoming]:
    """Every file below a folder, or the one file, with paths relative to what was named.

    Hidden files and links are passed over. Raises InvalidInput when nothing is left.
    """
    if source.is_file():
        return [Incoming(source=source, path=source.name)]
    if not source.is_dir():
        raise InvalidInput(f"{str(source)!r} is neither a file nor a folder; check the path")
    files = sorted(_files_below(source))
    if not files:
        raise InvalidInput(f"the folder {str(source)!r} holds no files; name one with photos in it")
    return [Incoming(source=path, path=path.relative_to(source).as_posix()) for path in files]


def ingest(
    database: Database,
    blobs: BlobStore,
    decoder: DecodingProcess,
    collection_id: int,
    files: Iterable[Incoming],
    *,
    user: User | None = None,
) -> Iterator[FileReport]:
    """Import files one after the other, each in a transaction of its own, and report on each.

    A bad file ends nothing: its report names the reason and the next file goes on. `user` is who imports,
    None the command line.
    """
    for file in files:
        path = _storable(file.path)
        try:
            with file.local() as source:
                arrived = replace(file, source=source, path=path)
                measured, left_out = _described(decoder, arrived)
                report = _ingest_one(database, blobs, measured, collection_id, arrived, user)
            yield report
            yield from left_out
        except PictureError as error:
            yield FileReport(path=path, status=error.reason, item_id=None, detail=str(error))
        except OSError as error:
            if is_full(error):
                raise
            detail = f"{path} could not be read: {error.strerror}"
            yield FileReport(path=path, status="refused", item_id=None, detail=detail)


def remove_blobs(database: Database, blobs: BlobStore, keys: Sequence[str]) -> Removal:
    """Remove blobs that a committed deletion left behind, unless somebody stored them again since."""
    gone = held = 0
    for key in keys:
        with database.writing() as session:
            lock_content(session, key)
            if not blob_is_used(session, key):
                blobs.delete(key)
                gone += not blobs.exists(key)
            else:
                held += held_by_datasets(session, key)
    return Removal(gone, len(keys) - gone - held, held)


def _files_below(folder: Path) -> Iterator[Path]:
    """The files of a folder, and the folders that cannot be read: the import reports those as refused."""
    unreadable: list[Path] = []
    for place, folders, names in os.walk(
        folder, onerror=lambda error: unreadable.append(Path(error.filename))
    ):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = [Path(place, name) for name in names if not name.startswith(".")]
        yield from (path for path in paths if path.is_file() and not path.is_symlink())
    yield from unreadable


def _storable(path: str) -> str:
    """The path in characters that every database and export can hold; a file system allows any bytes."""
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return storable(text, instead="\ufffd")


def _described(decoder: DecodingProcess, file: Incoming) -> tuple[Measured, list[FileReport]]:
    """Measure a file beside its sidecar; one that cannot be read is reported, and the picture goes on."""
    if file.sidecar is None:
        return _measured(decoder, file), []
    with ExitStack() as unpacked:
        try:
            beside = unpacked.enter_context(file.sidecar.local())
        except (PictureError, OSError) as error:
            return _measured(decoder, file), [_refused(file.sidecar, str(error))]
        measured = _measured(decoder, file, beside)
    problem = measured.sidecar_error
    return measured, [_refused(file.sidecar, f"{file.sidecar.path} {problem}")] if problem else []


def _refused(file: Incoming, detail: str) -> FileReport:
    return FileReport(_storable(file.path), RefusedPicture.reason, None, detail)


def _ingest_one(
    database: Database,
    blobs: BlobStore,
    measured: Measured,
    collection_id: int,
    file: Incoming,
    user: User | None,
) -> FileReport:
    rendition = hashlib.sha256(measured.rendition).hexdigest()
    try:
        # The large writes happen before the transaction, so that no lock is held meanwhile.
        _put(blobs, measured, file.source, original=not file.referenced)
        with database.writing() as session:
            lock_content(session, measured.sha256, rendition)
            # Locked, so that neither the collection nor its pictures go while the item comes.
            if session.get(Collection, collection_id, with_for_update={"key_share": True}) is None:
                raise NotFound(f"there is no collection {collection_id}; it was deleted during the import")
            _lock_item(session, collection_id, measured.sha256, file.path)
            image, known = _image(session, measured, rendition, stored=not file.referenced)
            if image.rendition != rendition and not blobs.exists(image.rendition):
                image.rendition = rendition
            if not (blobs.exists(rendition) and (blobs.exists(image.sha256) or not image.stored)):
                # A deletion of the same picture came between; store it again under the lock.
                _put(blobs, measured, file.source, original=image.stored)
            item, report = _item(session, collection_id, image, measured, file, known)
            report = _with_captions(session, item, file.given, measured, report, user)
    except BaseException:
        remove_blobs(database, blobs, [measured.sha256, rendition])
        raise
    if image.rendition != rendition:
        # An older release made another one of the same picture, which stays.
        remove_blobs(database, blobs, [rendition])
    return report


def _measured(decoder: DecodingProcess, file: Incoming, sidecar: Path | None = None) -> Measured:
    """What is imported of a file; whether it is still what was measured shows when its bytes are stored."""
    if not file.referenced:
        return decoder.measure(file.source, sidecar=sidecar)
    try:
        str(file.source).encode()
    except UnicodeEncodeError:
        raise RefusedPicture(
            f"{file.path} has a name that is not UTF-8 and cannot be referred to; rename it, or import it "
            "without --reference"
        ) from None
    before = file.source.stat()
    measured = decoder.measure(file.source, sidecar=sidecar)
    after = file.source.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise _changed(file.source)
    return measured


def _put(blobs: BlobStore, measured: Measured, source: Path, *, original: bool) -> None:
    """Store the rendition, and the original where it is wanted."""
    if original and blobs.put(source) != measured.sha256:
        raise _changed(source)
    blobs.put(measured.rendition)


def _changed(source: Path) -> CorruptPicture:
    return CorruptPicture(f"{source.name} changed while it was imported; import it again")


def _lock_item(session: Session, collection_id: int, sha256: str, path: str) -> None:
    """Hold the item that the file may have already, before its image, as those who delete it do."""
    known = select(Item.id).join(Image, Image.id == Item.image_id)
    here = (Item.collection_id == collection_id, Item.path == path, Image.sha256 == sha256)
    session.execute(known.where(*here).with_for_update(of=Item))


def _image(session: Session, measured: Measured, rendition: str, *, stored: bool) -> tuple[Image, bool]:
    image = session.scalar(
        select(Image).where(Image.sha256 == measured.sha256).with_for_update(key_share=True)
    )
    if image:
        # What is stored stays stored, and what was left where it is may be stored later.
        image.stored = image.stored or stored
        return image, True
    image = Image(
        sha256=measured.sha256,
        rendition=rendition,
        format=measured.format,
        bytes=measured.bytes,
        width=measured.width,
        height=measured.height,
        pages=measured.pages,
        dhash=measured.dhash,
        stored=stored,
        split=splits.recall(session, measured.sha256),
    )
    session.add(image)
    session.flush()
    return image, False


def _item(
    session: Session, collection_id: int, image: Image, measured: Measured, file: Incoming, known: bool
) -> tuple[Item, FileReport]:
    path, reference = file.path, None if image.stored else _lasting(file.source)
    same = select(Item).where(Item.collection_id == collection_id, Item.image_id == image.id)
    if found := session.scalar(same.where(Item.path == path)):
        detail = "imported before"
        if reference not in (None, found.reference):
            found.reference = reference
            detail = f"imported before; its original is now the one at {reference}"
        return found, FileReport(path=path, status=ALREADY_HERE, item_id=found.id, detail=detail)
    # Only this collection is asked: "duplicate" must not reveal what other people's collections hold.
    twin = session.scalar(same.limit(1)) if known else None
    item = Item(
        collection_id=collection_id,
        image_id=image.id,
        path=path,
        position=file.position or next_position(session, collection_id),
        reference=reference,
        details={},
    )
    session.add(item)
    session.flush()
    if twin:
        detail = f"the same picture as {twin.path}; {'stored once' if image.stored else 'left where it is'}"
        return item, FileReport(path=path, status=DUPLICATE, item_id=item.id, detail=detail)
    detail = "; ".join(measured.notes)
    return item, FileReport(path=path, status=IMPORTED, item_id=item.id, detail=detail)


def _lasting(path: Path) -> str:
    """An absolute path. Links in it are kept: an archive may move behind the name by which people know it."""
    return str(path.resolve() if ".." in path.parts else path.absolute())


def _with_captions(
    session: Session,
    item: Item,
    given: GivenItem | None,
    measured: Measured,
    report: FileReport,
    user: User | None,
) -> FileReport:
    """Keep what a file of captions gives, then what the picture says itself."""
    lock(session, item.id)
    added = keep(session, item, given, user=user) if given else 0
    added += keep_embedded(session, item, given_by_itself(measured), user=user)
    if not added and not (given and given.captions):
        return report
    said = f"{added} caption{'s' if added != 1 else ''} came along"
    return replace(report, detail=f"{report.detail}; {said}" if report.detail else said)
