"""What corrections gave: how well each checkpoint that was active captions, and how much people change of it.

Scores are of one golden set, which people captioned without seeing model text. What people change is told by
real reviews: captions that were accepted or rejected one by one. What was decided in bulk, and what went with
its picture, says nothing of a caption.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, exists, or_, select, union_all
from sqlalchemy.orm import Session

from catalog import history
from catalog.collections import visible_to
from catalog.golden_scores import Score, golden_scores
from catalog.schema import (
    Caption,
    CaptionDetail,
    CaptionKind,
    CaptionState,
    Checkpoint,
    CheckpointState,
    Collection,
    Dataset,
    HistoryEntry,
    Item,
    Promotion,
    User,
)
from catalog.word_edits import same_words, word_edits

STEPS = 20  # promotions, the latest, that are shown
REVIEWED = 1000  # decided captions of a checkpoint, the newest, that are counted


@dataclass(frozen=True)
class Reviews:
    """What people did with the captions of a checkpoint. `edits` are words of those that they accepted."""

    decided: int = 0
    accepted: int = 0
    unchanged: int = 0
    edits: int = 0

    @property
    def share_unchanged(self) -> float | None:
        return self.unchanged / self.decided if self.decided else None

    @property
    def edits_each(self) -> float | None:
        """Word edits a caption: insertions, deletions and substitutions."""
        return self.edits / self.accepted if self.accepted else None


@dataclass(frozen=True)
class Step:
    """A checkpoint that was active from a moment on; `since` is None for the one that was there first."""

    checkpoint: Checkpoint
    since: datetime | None
    score: Score | None
    reviews: Reviews


@dataclass(frozen=True)
class LoopProgress:
    """The steps, oldest first, and the golden set on which they were scored."""

    steps: tuple[Step, ...]
    golden: Dataset | None


def loop_progress(session: Session, viewer: User | None) -> LoopProgress:
    """The latest steps, told by what the viewer may see, in a few statements however many rows there are."""
    active = _active_in_time(session)
    ids = list(dict.fromkeys(checkpoint.id for checkpoint, _ in active))
    found = golden_scores(session, ids, viewer)
    reviews = _reviews(session, ids, viewer)
    steps = [
        Step(checkpoint, since, found.scores.get(checkpoint.id), reviews.get(checkpoint.id, Reviews()))
        for checkpoint, since in active
    ]
    return LoopProgress(tuple(steps), found.golden)


def _active_in_time(session: Session) -> list[tuple[Checkpoint, datetime | None]]:
    """The checkpoints in the order in which they were active, from before the first shown promotion on."""
    latest = session.scalars(select(Promotion).order_by(Promotion.id.desc()).limit(STEPS)).all()[::-1]
    ids = {promotion.checkpoint_id for promotion in latest} | {latest[0].previous_id if latest else None}
    is_one = Checkpoint.id.in_([number for number in ids if number])
    there_now = or_(is_one, Checkpoint.state == CheckpointState.ACTIVE)
    found = {one.id: one for one in session.scalars(select(Checkpoint).where(there_now))}
    steps = [(found[promotion.checkpoint_id], promotion.created_at) for promotion in latest]
    first = found.get(latest[0].previous_id or 0) if latest else next(iter(found.values()), None)
    return [*([(first, None)] if first else []), *steps]


def _reviews(session: Session, checkpoint_ids: Sequence[int], viewer: User | None) -> dict[int, Reviews]:
    if not checkpoint_ids:
        return {}
    newest = union_all(
        *(select(_newest_decided(one, viewer).subquery()) for one in checkpoint_ids)
    ).subquery()
    at_once = or_(HistoryEntry.operation_id.is_not(None), HistoryEntry.action == history.WITH_PICTURE)
    entry = exists().where(
        HistoryEntry.item_id == newest.c.item_id, HistoryEntry.caption_id == newest.c.id, at_once
    )
    counted: dict[int, Reviews] = {}
    for row in session.execute(select(newest).where(~entry)):
        so_far = counted.get(row.checkpoint_id, Reviews())
        counted[row.checkpoint_id] = _with(so_far, row.model_text, row.text, row.state)
    return counted


def _newest_decided(
    checkpoint_id: int, viewer: User | None
) -> Select[int, int, int | None, str, CaptionState, str]:
    """The captions of a checkpoint that people decided last."""
    return (
        select(
            Caption.id,
            Caption.item_id,
            Caption.checkpoint_id,
            Caption.text,
            Caption.state,
            CaptionDetail.model_text,
        )
        .join(CaptionDetail, CaptionDetail.caption_id == Caption.id)
        .join(Item, Item.id == Caption.item_id)
        .join(Collection, Collection.id == Item.collection_id)
        .where(
            Caption.checkpoint_id == checkpoint_id,
            Caption.kind == CaptionKind.CAPTION,
            Caption.state != CaptionState.CANDIDATE,
            Caption.author_id.is_not(None),
            visible_to(viewer),
        )
        .order_by(Caption.updated_at.desc(), Caption.id.desc())
        .limit(REVIEWED)
    )


def _with(so_far: Reviews, model_text: str, text: str, state: CaptionState) -> Reviews:
    accepted = state is CaptionState.ACCEPTED
    same = same_words(model_text, text)
    return Reviews(
        decided=so_far.decided + 1,
        accepted=so_far.accepted + accepted,
        unchanged=so_far.unchanged + (accepted and same),
        edits=so_far.edits + (word_edits(model_text, text) if accepted and not same else 0),
    )
