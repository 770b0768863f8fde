"""Splits: what an image is for, told by its bytes when it is first frozen; only golden sets change it."""

from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from catalog.schema import DatasetImage, Image, Split, Tombstone

TENTHS = (*[Split.TRAIN] * 8, Split.VALIDATION, Split.TEST)
LEARNED_FROM = (Split.TRAIN, Split.VALIDATION)
HELD_BACK = (Split.TEST, Split.GOLDEN)
TOMBSTONE = "split"
IMAGES_AT_A_TIME = 500


def of_hash(sha256: str) -> Split:
    """The split of the picture with these bytes: eight of ten train, one validates, one tests."""
    return TENTHS[int(sha256[:8], 16) % len(TENTHS)]


def assign(session: Session, image_ids: Sequence[int]) -> None:
    """Give those of the images a split that have none yet."""
    for some in pages(image_ids):
        held = select(Image.id, Image.sha256).where(Image.id.in_(some), Image.split.is_(None))
        rows = session.execute(held.order_by(Image.id).with_for_update()).all()
        for split in sorted({*TENTHS}):
            ids = [row.id for row in rows if of_hash(row.sha256) is split]
            session.execute(update(Image).where(Image.id.in_(ids)).values(split=split))


def reserve(session: Session, image_ids: Sequence[int]) -> int:
    """Keep images for golden sets, for good; returns for how many of them that is possible.

    Images that were frozen to be learned from, or to choose an epoch by, stay what they are.
    """
    reserved = 0
    for some in pages(image_ids):
        held = select(Image.id).where(
            Image.id.in_(some), or_(Image.split.is_(None), Image.split.in_(HELD_BACK))
        )
        ids = session.scalars(held.order_by(Image.id).with_for_update()).all()
        session.execute(update(Image).where(Image.id.in_(ids)).values(split=Split.GOLDEN))
        reserved += len(ids)
    return reserved


def release(session: Session, image_ids: Sequence[int]) -> None:
    """Give golden images back that no golden set ever judged by; those that were frozen test again."""
    for some in pages(image_ids):
        frozen = select(DatasetImage.image_id).where(DatasetImage.image_id == Image.id)
        held = select(Image.id, frozen.exists()).where(Image.id.in_(some), Image.split == Split.GOLDEN)
        rows = session.execute(held.order_by(Image.id).with_for_update(of=Image)).all()
        for split, was_frozen in ((Split.TEST, True), (None, False)):
            ids = [image_id for image_id, is_frozen in rows if bool(is_frozen) is was_frozen]
            session.execute(update(Image).where(Image.id.in_(ids)).values(split=split))


def remember(session: Session, gone: Iterable[tuple[str, Split | None]]) -> None:
    """Keep the splits of images that go, by their hashes: the same bytes may be imported again."""
    session.add_all(
        Tombstone(kind=TOMBSTONE, name=split.value, sha256=sha256) for sha256, split in gone if split
    )


def recall(session: Session, sha256: str) -> Split | None:
    """The split of an image that went and comes again; from now on the image itself tells it."""
    kept = delete(Tombstone).where(Tombstone.kind == TOMBSTONE, Tombstone.sha256 == sha256)
    name = session.scalars(kept.returning(Tombstone.name)).first()
    return Split(name) if name else None


def pages(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    """The ids, not too many at a time for one statement."""
    for start in range(0, len(ids), IMAGES_AT_A_TIME):
        yield ids[start : start + IMAGES_AT_A_TIME]
