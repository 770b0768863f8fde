"""How reviewers get on with a collection: what each decided, how fast, and what is left, as history tells it.

What a bulk operation did at once, what an import brought, and what takes a decision back are no decisions
of this kind.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from statistics import median

from sqlalchemy import ColumnElement, Select, and_, case, func, select
from sqlalchemy.orm import Session, aliased

from catalog import collections, history
from catalog.pages import PAGE_SIZE, Listing, listing
from catalog.schema import CaptionState, Collection, HistoryEntry, Item, ReviewState, Role, User, utc_now

SITTING = timedelta(minutes=10)  # whoever does nothing for longer begins another sitting
RECENT = 2000  # decisions of a collection, the latest, by which paces are told
RECENT_OWN = 200  # of one reviewer
MOST_A_DAY = 5000  # decisions; nobody makes more by hand
FEWEST_STEPS = 3  # from photo to photo, before there is a pace


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """Decisions about captions, counted; a caption that was decided twice counts twice.

    `today` is since midnight in UTC, `week` are the last seven days. `total` is the sum of the four below it.
    """

    today: int = 0
    week: int = 0
    total: int = 0
    accepted: int = 0
    edited: int = 0
    rejected: int = 0
    written: int = 0


@dataclass(frozen=True)
class Speed:
    """How fast photos are decided; None while nothing is known.

    `median_seconds` lie between the decisions on two photos of one sitting.
    """

    median_seconds: float | None
    photos_an_hour: float | None


UNKNOWN = Speed(median_seconds=None, photos_an_hour=None)


@dataclass(frozen=True)
class Reviewer:
    """How one reviewer gets on; `left` of the photos that are `assigned` are not decided yet."""

    id: int
    name: str
    decisions: Decisions
    speed: Speed
    assigned: int = 0
    left: int = 0


@dataclass(frozen=True)
class Progress:
    """How a collection gets on; `seconds_left` is one person's work on the photos that wait for review."""

    reviewers: Listing[Reviewer]
    decisions: Decisions
    speed: Speed
    left: int
    seconds_left: float | None


@dataclass(frozen=True)
class Mine:
    """What a reviewer did in a collection since midnight in UTC, and how fast it goes."""

    today: int
    speed: Speed


def of_collection(
    session: Session, collection: Collection, *, viewer: User | None, after: int | None = None
) -> Progress:
    """The progress of a collection, with a page of its reviewers by name.

    Reviewers see themselves among them; admins and the command line (None) see all.
    """
    decided = _decisions(session, collection)
    steps = _recent_steps(session, collection)
    speed = _speed(gap for gaps in steps.values() for gap in gaps)
    left = collections.summary(session, collection).states.get(ReviewState.PENDING, 0)
    return Progress(
        reviewers=_reviewers(session, collection, decided, steps, viewer=viewer, after=after),
        decisions=_together(list(decided.values())),
        speed=speed,
        left=left,
        seconds_left=left * 3600 / speed.photos_an_hour if speed.photos_an_hour else None,
    )


def of_reviewer(session: Session, collection: Collection, user: User) -> Mine:
    """What the reviewer did today and how fast it goes, in two statements."""
    own = select(HistoryEntry).where(HistoryEntry.user_id == user.id).order_by(HistoryEntry.id.desc())
    latest = aliased(HistoryEntry, own.limit(MOST_A_DAY).subquery())
    decided = _decided(_each_of(collection, latest), latest)
    today = select(func.count()).select_from(decided.where(latest.created_at >= _midnight()).subquery())
    recent = session.execute(decided.order_by(latest.id.desc()).limit(RECENT_OWN))
    steps = _steps([(item_id, moment) for _, item_id, moment in recent])
    return Mine(today=session.scalar(today) or 0, speed=_speed(steps))


def _together(everybodys: Sequence[Decisions]) -> Decisions:
    sums = {field.name: sum(getattr(one, field.name) for one in everybodys) for field in fields(Decisions)}
    return Decisions(**sums)


def _decision(entry: type[HistoryEntry]) -> ColumnElement[str | None]:
    """What an entry of the history decided, as a name of Decisions; null for what is no decision by hand."""
    by_hand = and_(
        entry.user_id.is_not(None),
        entry.operation_id.is_(None),
        entry.action.not_in(("imported", *history.WAYS_BACK)),
    )
    return case(
        (~by_hand, None),
        (entry.text_before.is_(None), "written"),
        (_became(entry, CaptionState.REJECTED), "rejected"),
        (entry.text_before != entry.text_after, "edited"),
        (_became(entry, CaptionState.ACCEPTED), "accepted"),
    )


def _became(entry: type[HistoryEntry], state: CaptionState) -> ColumnElement[bool]:
    return and_(entry.state_after == state, entry.state_before != state)


def _decided(
    within: ColumnElement[bool], entry: type[HistoryEntry] = HistoryEntry
) -> Select[int | None, int, datetime]:
    """Who decided which item, and when."""
    return select(entry.user_id, entry.item_id, entry.created_at).where(within, _decision(entry).is_not(None))


def _any_of(collection: Collection) -> ColumnElement[bool]:
    """The entries of a collection, for statements that read them all."""
    return HistoryEntry.item_id.in_(select(Item.id).where(Item.collection_id == collection.id))


def _each_of(collection: Collection, entry: type[HistoryEntry]) -> ColumnElement[bool]:
    """The entries of a collection, for statements that read the latest: asked of one after the other."""
    its_collection = select(Item.collection_id).where(Item.id == entry.item_id).scalar_subquery()
    return its_collection == collection.id


def _decisions(session: Session, collection: Collection) -> dict[int, Decisions]:
    """Everybody's decisions, by the id of the user."""
    found = _decided(_any_of(collection)).add_columns(_decision(HistoryEntry).label("decision")).subquery()
    kinds = ("accepted", "edited", "rejected", "written")
    counted = {
        "today": func.count().filter(found.c.created_at >= _midnight()),
        "week": func.count().filter(found.c.created_at >= utc_now() - timedelta(days=7)),
        "total": func.count(),
        **{name: func.count().filter(found.c.decision == name) for name in kinds},
    }
    columns = [count.label(name) for name, count in counted.items()]
    rows = session.execute(select(found.c.user_id, *columns).group_by(found.c.user_id)).mappings()
    return {row["user_id"]: Decisions(**{name: row[name] for name in counted}) for row in rows}


def _recent_steps(session: Session, collection: Collection) -> dict[int | None, list[float]]:
    """The seconds from photo to photo in the latest decisions, by the id of the user."""
    moments: dict[int | None, list[tuple[int, datetime]]] = {}
    latest = _decided(_each_of(collection, HistoryEntry)).order_by(HistoryEntry.id.desc())
    for user_id, item_id, moment in session.execute(latest.limit(RECENT)):
        moments.setdefault(user_id, []).append((item_id, moment))
    return {user_id: _steps(latest) for user_id, latest in moments.items()}


def _steps(latest: Sequence[tuple[int, datetime]]) -> list[float]:
    """The seconds between the decisions on two photos of one sitting; the latest decision stands first."""
    return [
        (later - earlier).total_seconds()
        for (item, later), (item_before, earlier) in pairwise(latest)
        if item != item_before and timedelta() <= later - earlier <= SITTING
    ]


def _speed(steps: Iterable[float]) -> Speed:
    known = list(steps)
    if len(known) < FEWEST_STEPS or not sum(known):
        return UNKNOWN
    return Speed(median_seconds=median(known), photos_an_hour=3600 * len(known) / sum(known))


def _reviewers(
    session: Session,
    collection: Collection,
    decided: Mapping[int, Decisions],
    steps: Mapping[int | None, Sequence[float]],
    *,
    viewer: User | None,
    after: int | None,
) -> Listing[Reviewer]:
    assigned = _assigned(session, collection)
    ids = decided.keys() | assigned.keys()
    if viewer and viewer.role is not Role.ADMIN:
        ids = {viewer.id}
    people = session.execute(select(User.id, User.name).where(User.id.in_(ids)))
    in_order = sorted(people, key=lambda one: (one.name.casefold(), one.id))
    begin = next((place + 1 for place, one in enumerate(in_order) if one.id == after), 0)
    rows = [
        Reviewer(
            one.id,
            one.name,
            decided.get(one.id, Decisions()),
            _speed(steps.get(one.id, ())),
            *assigned.get(one.id, ()),
        )
        for one in in_order[begin : begin + PAGE_SIZE + 1]
    ]
    return listing(rows, PAGE_SIZE, lambda one: one.id)


def _assigned(session: Session, collection: Collection) -> dict[int, tuple[int, int]]:
    """How many photos each assignee has, and how many of them are not decided, by the id of the user."""
    left = Item.review_state.in_((ReviewState.PENDING, ReviewState.UNCAPTIONED))
    rows = session.execute(
        select(User.id, func.count(), func.count().filter(left))
        .join(Item, Item.assignee_id == User.id)
        .where(Item.collection_id == collection.id)
        .group_by(User.id)
    )
    return {user_id: (count, undecided) for user_id, count, undecided in rows}


def _midnight() -> datetime:
    return datetime.combine(utc_now().date(), time(), UTC)
