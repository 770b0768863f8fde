"""Freezing: a snapshot becomes a manifest, then a blob, then a version of a dataset in one transaction."""

import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from catalog import manifests, splits
from catalog.blobs import BlobStore
from catalog.database import Database, lock_content
from catalog.dataset_cards import Tally, card
from catalog.errors import Conflict, DamagedManifest, InvalidInput, MissingBlob, NotFound
from catalog.frozen_rows import Row
from catalog.ingest import remove_blobs
from catalog.manifests import FrozenItem, Header
from catalog.schema import Collection, Dataset, DatasetImage, DatasetKind, Image, Item, Split, Tombstone, User
from catalog.space import room_in

NAME_LENGTH = 200
VERSION_MARK = "@"
TOMBSTONE = "dataset"
ATTEMPTS = 5
MANIFEST = "manifest.jsonl"


@dataclass(frozen=True)
class Frozen:
    """What freezing made, or the version that holds the same content already."""

    dataset_id: int
    version: int
    is_new: bool


@dataclass(frozen=True)
class Content:
    """What is to be frozen, as a session over a snapshot reads it."""

    header: Header
    rows: Iterable[Row]
    left_out: dict[str, int] = field(default_factory=dict)


Reader = Callable[[Session], Content]


@dataclass(frozen=True, kw_only=True)
class Line:
    """A dataset to be: its versions have one name, one kind and one collection."""

    name: str
    kind: DatasetKind
    collection_id: int
    user_id: int | None = None


@dataclass
class Written:
    """A manifest as it is written: its counts, who decided the captions, the images with their first item."""

    path: Path
    tally: Tally = field(default_factory=Tally)
    authors: Counter[int] = field(default_factory=Counter)
    places: dict[int, tuple[int, Split]] = field(default_factory=dict)

    def write(self, content: Content) -> None:
        with room_in(self.path.parent):
            manifests.write(self.path, content.header, self._noted(content.rows))

    def _noted(self, rows: Iterable[Row]) -> Iterator[FrozenItem]:
        """The items of the rows, each noted when it is asked for."""
        for row in rows:
            self.tally.add(row.item)
            self.authors.update(author for author in row.authors if author is not None)
            self.places.setdefault(row.image_id, (row.item.item_id, row.item.split))
            yield row.item


class PhotosGone(Conflict):
    """Photos of the snapshot were deleted, or took another split, before it was kept."""


def freeze(database: Database, blobs: BlobStore, line: Line, read: Reader, *, nothing: str) -> Frozen:
    """Freeze what `read` reads as the next version of a line, unless its newest version holds just that.

    `read` gets a session that sees one moment, and may be asked again. Raises InvalidInput, in the words of
    `nothing`, where there is none; Conflict for a name that is taken; StorageFull, with nothing kept.
    """
    for attempt in range(ATTEMPTS):
        try:
            with tempfile.TemporaryDirectory() as folder:
                return _freeze(database, blobs, line, read, nothing, Written(Path(folder) / MANIFEST))
        except PhotosGone:
            if attempt + 1 == ATTEMPTS:
                raise
    raise AssertionError("the last attempt returns or raises")


def named(name: str) -> str:
    """The name of a dataset as it is kept. Raises InvalidInput for what can be none."""
    name = name.strip()
    if not name or len(name) > NAME_LENGTH or not name.isprintable() or VERSION_MARK in name:
        raise InvalidInput(
            f"{name[:60]!r} cannot name a dataset; use 1 to {NAME_LENGTH} printable characters without "
            f"{VERSION_MARK}"
        )
    return name


def newest_version(session: Session, name: str) -> Dataset | None:
    versions = select(Dataset).where(Dataset.name == name).order_by(Dataset.version.desc())
    return session.scalar(versions.limit(1))


def check_line(session: Session, line: Line) -> Dataset | None:
    """The newest version of a line, if it has one. Raises Conflict where the name is another one's."""
    last = newest_version(session, line.name)
    if last and (last.kind, last.collection_id) != (line.kind, line.collection_id):
        raise Conflict(
            f"a dataset called {line.name!r} exists already, of another kind or collection; "
            "choose another name"
        )
    return last


def _freeze(
    database: Database, blobs: BlobStore, line: Line, read: Reader, nothing: str, written: Written
) -> Frozen:
    with database.snapshot() as connection, Session(connection) as session:
        last = check_line(session, line)
        content = read(session)
        written.write(content)
        reviewers = _names(session, written.authors)
    if not written.places:
        raise InvalidInput(nothing)
    manifest = blobs.put(written.path)
    try:
        before = _before(blobs, last) if last and last.manifest_sha256 != manifest else None
        dataset = Dataset(
            **vars(line),
            filter=content.header.filter,
            guidelines=content.header.guidelines,
            manifest_sha256=manifest,
            images=len(written.places),
            captions=written.tally.captions.total(),
            card=card(written.tally, left_out=content.left_out, reviewers=reviewers, before=before),
        )
        with database.writing() as session:
            return _keep(session, blobs, dataset, line, written)
    except BaseException:
        remove_blobs(database, blobs, [manifest])
        raise


def _keep(session: Session, blobs: BlobStore, dataset: Dataset, line: Line, written: Written) -> Frozen:
    """Give the manifest its rows. Whoever freezes the same line meanwhile waits."""
    lock_content(session, dataset.manifest_sha256, hashlib.sha256(line.name.encode()).hexdigest())
    if session.get(Collection, line.collection_id, with_for_update={"key_share": True}) is None:
        raise NotFound(f"there is no collection {line.collection_id}; it was deleted meanwhile")
    last = check_line(session, line)
    if last and last.manifest_sha256 == dataset.manifest_sha256:
        return Frozen(last.id, last.version, is_new=False)
    _hold(session, written, golden=line.kind is DatasetKind.GOLDEN)
    if not blobs.exists(dataset.manifest_sha256):
        # Somebody who froze the same content failed, and took the blob away.
        blobs.put(written.path)
    dataset.version = _next_version(session, line.name)
    session.add(dataset)
    session.flush()
    _add_images(session, dataset, written)
    return Frozen(dataset.id, dataset.version, is_new=True)


def _hold(session: Session, written: Written, *, golden: bool) -> None:
    """Hold items and images until the transaction ends. Raises PhotosGone where one is not as it was."""
    item_ids = sorted(item_id for item_id, _ in written.places.values())
    image_ids = sorted(written.places)
    # Items before images, as those who delete them do.
    for model, ids in ((Item, item_ids), (Image, image_ids)):
        for some in splits.pages(ids):
            held = select(model.id).where(model.id.in_(some)).order_by(model.id)
            if len(session.scalars(held.with_for_update(key_share=True)).all()) < len(some):
                raise PhotosGone("photos were deleted while they were frozen; freeze it again")
    if golden and splits.reserve(session, image_ids) < len(image_ids):
        raise PhotosGone("photos were frozen to be learned from meanwhile; freeze the golden set again")


def _add_images(session: Session, dataset: Dataset, written: Written) -> None:
    for some in splits.pages(sorted(written.places)):
        rows = [(image_id, *written.places[image_id]) for image_id in some]
        session.execute(
            insert(DatasetImage),
            [
                {"dataset_id": dataset.id, "image_id": image_id, "item_id": item_id, "split": split}
                for image_id, item_id, split in rows
            ],
        )


def _next_version(session: Session, name: str) -> int:
    """One more than any version ever had, those that were deleted among them."""
    mark = name + VERSION_MARK
    query = select(Tombstone.name).where(
        Tombstone.kind == TOMBSTONE, Tombstone.name.startswith(mark, autoescape=True)
    )
    # SQLite compares beginnings without regard to case.
    deleted = [int(stone.removeprefix(mark)) for stone in session.scalars(query) if stone.startswith(mark)]
    highest = session.scalar(select(func.max(Dataset.version)).where(Dataset.name == name)) or 0
    return max([highest, *deleted]) + 1


def _before(blobs: BlobStore, dataset: Dataset) -> tuple[int, Tally] | None:
    """The counts of the version before; None where its manifest is lost, which keeps nobody from freezing."""
    tally = Tally()
    with suppress(MissingBlob, DamagedManifest):
        for item in manifests.read(blobs, dataset.manifest_sha256)[1]:
            tally.add(item)
        return dataset.version, tally
    return None


def _names(session: Session, authors: Counter[int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for some in splits.pages(sorted(authors)):
        for user_id, name in session.execute(select(User.id, User.name).where(User.id.in_(some))):
            found[name] = authors[user_id]
    return found
