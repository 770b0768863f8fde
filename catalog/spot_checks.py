"""Spot checks: a random sample of captions that somebody wants to accept unread, and what was wrong in it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from catalog import collections
from catalog.blind_items import still_blind, withheld_from
from catalog.errors import Conflict, InvalidInput, NotAllowed, NotFound
from catalog.filters import ItemFilter
from catalog.schema import Caption, Collection, OperationKind, SpotCheck, User, utc_now
from catalog.selection import Selection, selection

SAMPLE = 20  # captions
GOOD_FOR = timedelta(days=1)
Z = 1.959964  # of a normal distribution, for an interval of 95 %


@dataclass(frozen=True)
class ErrorRate:
    """The share of captions that were wrong, with the 95 % interval of the share among all (Wilson).

    Where the sample was all there is, the interval is the share itself.
    """

    wrong: int
    checked: int
    low: float
    high: float

    @property
    def rate(self) -> float:
        return self.wrong / self.checked


def draw(session: Session, collection: Collection, filter: ItemFilter, *, user: User) -> SpotCheck:
    """Captions drawn at random among those that accepting the filter would accept: add it to a session that
    writes.

    This only reads, for drawing takes a while. Photos that the user still has to caption blind are not drawn.
    Raises Conflict where there are none to draw.
    """
    drawn_at = utc_now()
    wanted = selection(collection, filter, OperationKind.ACCEPT, {})
    total = wanted.extent(session).total
    if not total:
        raise Conflict("no caption of this selection waits for review; there is nothing to check")
    columns = (Caption.id, Caption.item_id, Caption.version, Caption.text)
    shown = wanted.captions(session).with_only_columns(*columns).where(~withheld_from(user))
    sample = session.execute(shown.order_by(func.random()).limit(SAMPLE)).all()
    if not sample:
        raise Conflict(
            "all photos of this selection are in a golden set that waits for your captions; write those first"
        )
    return SpotCheck(
        collection_id=collection.id,
        user_id=user.id,
        filter=filter.words(),
        total=total,
        captions=[dict(row._mapping) for row in sample],
        created_at=drawn_at,
        verdicts={},
    )


def get(session: Session, check_id: int, *, viewer: User | None) -> SpotCheck:
    """Raises NotFound for a check that is gone or in a collection that the viewer may not see.

    Raises Conflict for one whose photos were drawn into a golden set since: the viewer writes for that first.
    """
    check = session.get(SpotCheck, check_id)
    if check is None:
        raise NotFound(f"there is no spot check {check_id}")
    collections.get(session, check.collection_id, viewer=viewer)
    if still_blind(session, [one["item_id"] for one in check.captions], viewer):
        raise Conflict(
            f"photos of spot check {check.id} are in a golden set by now, which waits for your captions; "
            "draw another one"
        )
    return check


def judge(session: Session, check: SpotCheck, caption_id: int, *, right: bool, user: User) -> None:
    """Say of one drawn caption whether it is right; the last word counts.

    Raises InvalidInput for a caption that was not drawn, Conflict once the check is finished.
    """
    _hold(session, check, user)
    if caption_id not in {one["id"] for one in check.captions}:
        raise InvalidInput(f"caption {caption_id} is none of spot check {check.id}")
    check.verdicts = {**check.verdicts, str(caption_id): right}
    session.flush()


def finish(session: Session, check: SpotCheck, *, user: User) -> None:
    """Record the error rate for good. Raises Conflict while captions are left to judge."""
    _hold(session, check, user)
    if left := len(check.captions) - len(check.verdicts):
        raise Conflict(f"{left} of the {len(check.captions)} captions are not judged yet; judge them first")
    check.finished_at = utc_now()
    session.flush()


def error_rate(check: SpotCheck) -> ErrorRate | None:
    """What a check found so far; None before the first verdict."""
    checked, wrong = len(check.verdicts), len(wrong_ids(check))
    if not checked:
        return None
    if checked == check.total:
        return ErrorRate(wrong, checked, wrong / checked, wrong / checked)
    return ErrorRate(wrong, checked, *wilson(wrong, checked))


def wilson(wrong: int, checked: int) -> tuple[float, float]:
    """The 95 % interval of a share, by Wilson's score."""
    share, spread = wrong / checked, Z * Z / checked
    middle = share + spread / 2
    half = Z * math.sqrt(share * (1 - share) / checked + spread / (4 * checked))
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))


def wrong_ids(check: SpotCheck) -> list[int]:
    """The captions that were found wrong."""
    return [int(caption_id) for caption_id, right in check.verdicts.items() if not right]


def covered(check: SpotCheck) -> ColumnElement[bool]:
    """The condition under which a row of Caption is as it was when the sample was drawn."""
    return Caption.updated_at <= check.created_at


def require(session: Session, wanted: Selection, check_id: int | None, *, user: User) -> SpotCheck:
    """The finished check that lets `user` accept this selection unread.

    Raises Conflict without one: of another selection, unfinished, too old, or of captions that were replaced.
    """
    if check_id is None:
        raise Conflict(f"accepting a whole selection unread takes a spot check of {SAMPLE} captions first")
    check = get(session, check_id, viewer=user)
    again = "; draw another one"
    if check.collection_id != wanted.collection.id or check.filter != wanted.filter.words():
        raise Conflict(f"spot check {check.id} is of another selection{again}")
    if check.user_id != user.id:
        raise NotAllowed(f"spot check {check.id} is somebody else's{again} yourself")
    if check.finished_at is None:
        raise Conflict(f"spot check {check.id} is not finished; judge all its captions first")
    if utc_now() - check.finished_at > GOOD_FOR:
        raise Conflict(f"spot check {check.id} is older than a day{again}")
    if gone := len(check.captions) - _still_there(session, check.captions):
        raise Conflict(f"{gone} of the captions of spot check {check.id} were replaced since{again}")
    return check


def _still_there(session: Session, captions: Sequence[dict[str, int]]) -> int:
    ids = [one["id"] for one in captions]
    return session.scalar(select(func.count()).where(Caption.id.in_(ids))) or 0


def _hold(session: Session, check: SpotCheck, user: User) -> None:
    """Lock an unfinished check of the user's own."""
    session.refresh(check, with_for_update=True)
    if check.user_id != user.id:
        raise NotAllowed(f"spot check {check.id} is somebody else's; draw one yourself")
    if check.finished_at:
        raise Conflict(f"spot check {check.id} is finished; draw another one")
