"""Impact: how many captions that nobody has reviewed a checkpoint would change, told from a sample."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, func, select
from sqlalchemy.orm import Session

from catalog.blind_items import still_blind
from catalog.collections import visible_to
from catalog.jobs import is_of_jobs, may_write
from catalog.schema import (
    Caption,
    CaptionState,
    Checkpoint,
    Collection,
    Dataset,
    Image,
    Impact,
    Item,
    Origin,
    ReviewState,
    User,
)
from catalog.spot_checks import wilson
from catalog.word_edits import same_words, word_edits

SAMPLE = 200  # items of a collection
COLLECTIONS = 5
SHOWN = 12  # samples kept


@dataclass(frozen=True)
class Standing:
    """The caption of an item that nobody has reviewed; `rendition` is the key of the item's small JPEG."""

    item_id: int
    rendition: str
    text: str


@dataclass(frozen=True)
class Seen:
    """An impact with the collection that it is on; `result` is what the viewer may read of it."""

    impact: Impact
    collection: Collection
    result: dict[str, Any]


def affected(session: Session, dataset: Dataset | None, active: Checkpoint) -> Sequence[int]:
    """The collections to look at: the dataset's own, else where most by the active checkpoint waits."""
    if dataset is not None:
        return [dataset.collection_id] if dataset.collection_id else []
    by_active = exists().where(_waits(), Caption.checkpoint_id == active.id)
    counted = select(Item.collection_id).where(Item.review_state == ReviewState.PENDING, by_active)
    most = counted.group_by(Item.collection_id).order_by(func.count().desc(), Item.collection_id)
    return session.scalars(most.limit(COLLECTIONS)).all()


def unreviewed(session: Session, collection_id: int) -> int:
    """How many items a caption job that replaces would caption anew."""
    counted = select(func.count()).select_from(Item).where(*_unreviewed(collection_id))
    return session.scalar(counted) or 0


def sample(session: Session, collection_id: int, *, limit: int = SAMPLE) -> list[Standing]:
    """Unreviewed items, in the collection's random order, with the caption of each that stands there."""
    rows = session.execute(
        select(Item.id, Image.rendition)
        .join(Image, Image.id == Item.image_id)
        .where(*_unreviewed(collection_id))
        .order_by(Item.shuffle, Item.id)
        .limit(limit)
    ).all()
    drawn = [item_id for item_id, _ in rows]
    written = select(Caption.item_id, Caption.text).join(Item, Item.id == Caption.item_id)
    newest_first = written.where(Item.id.in_(drawn), _waits()).order_by(Caption.id.desc())
    # Of several captions of an item the oldest is the one that counts.
    texts = dict(session.execute(newest_first).all())
    return [Standing(item_id, rendition, texts[item_id]) for item_id, rendition in rows]


def summary(standing: Sequence[Standing], after: Mapping[int, str], *, total: int) -> dict[str, Any]:
    """What a sample of `total` items says, `after` being the new captions by item.

    The share that changes with its 95 % bounds, how many captions that is among all, the mean word edits of a
    caption, and some that change.
    """
    compared = [(one, after[one.item_id]) for one in standing if one.item_id in after]
    changed = [(one, new) for one, new in compared if not same_words(one.text, new)]
    share = len(changed) / len(compared) if compared else 0.0
    complete = len(compared) == total
    low, high = (share, share) if complete or not compared else wilson(len(changed), len(compared))
    edits = sum(word_edits(one.text, new) for one, new in compared)
    return {
        "items": total,
        "sample": len(compared),
        "changed": len(changed),
        "share": share,
        "low": low,
        "high": high,
        "estimate": round(share * total),
        "estimate_low": round(low * total),
        "estimate_high": round(high * total),
        "word_edits": edits / len(compared) if compared else 0.0,
        "samples": [
            {"item_id": one.item_id, "before": one.text, "after": new} for one, new in changed[:SHOWN]
        ],
    }


def record(
    session: Session,
    *,
    collection_id: int,
    candidate_id: int,
    against_id: int,
    job_id: int | None,
    result: dict[str, Any],
) -> None:
    """Keep an impact in the place of an earlier one of the same two checkpoints on that collection."""
    pair = (Impact.candidate_id == candidate_id, Impact.against_id == against_id)
    session.execute(delete(Impact).where(Impact.collection_id == collection_id, *pair))
    session.add(
        Impact(
            collection_id=collection_id,
            candidate_id=candidate_id,
            against_id=against_id,
            job_id=job_id,
            result=result,
        )
    )
    session.flush()


def of_pair(
    session: Session, candidate: Checkpoint, against: Checkpoint, *, viewer: User | None
) -> list[Seen]:
    """What promoting one checkpoint in the place of another would change, where the viewer may look.

    Samples that they still have to caption blind are left out.
    """
    rows = session.execute(
        select(Impact, Collection)
        .join(Collection, Collection.id == Impact.collection_id)
        .where(Impact.candidate_id == candidate.id, Impact.against_id == against.id, visible_to(viewer))
        .order_by(Collection.name)
    ).all()
    sampled = [one["item_id"] for impact, _ in rows for one in impact.result.get("samples", [])]
    blind = still_blind(session, sampled, viewer)
    return [Seen(impact, collection, _without(impact.result, blind)) for impact, collection in rows]


def _without(result: dict[str, Any], blind: Container[int]) -> dict[str, Any]:
    samples = [one for one in result.get("samples", []) if one["item_id"] not in blind]
    return {**result, "samples": samples}


def _waits() -> ColumnElement[bool]:
    """The captions of an item that a model wrote and nobody has decided on."""
    return (
        (Caption.item_id == Item.id)
        & is_of_jobs()
        & (Caption.origin == Origin.MODEL)
        & (Caption.state == CaptionState.CANDIDATE)
    )


def _unreviewed(collection_id: int) -> tuple[ColumnElement[bool], ...]:
    return (
        Item.collection_id == collection_id,
        Item.review_state == ReviewState.PENDING,
        may_write("replace"),
        exists().where(_waits()),
    )
