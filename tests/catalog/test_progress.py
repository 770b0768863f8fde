"""How reviewers get on: told by the history, the same on both databases."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from catalog import captions, decisions, progress
from catalog.schema import (
    Caption,
    CaptionState,
    Collection,
    HistoryEntry,
    Item,
    Origin,
    Role,
    User,
    utc_now,
)

Filled = Callable[..., tuple[int, list[int], int]]
NewUser = Callable[..., User]
Reviews = Callable[..., None]


@pytest.fixture
def collection(session: Session, filled: Filled) -> Collection:
    """A collection of twelve photos, each with a caption that waits."""
    collection_id, ids, _ = filled(session, 12)
    session.add_all(Caption(item_id=item_id, text="A boat.", origin=Origin.MODEL) for item_id in ids)
    session.flush()
    captions.refresh_review_state(session, ids)
    return session.get_one(Collection, collection_id)


@pytest.fixture
def ada(session: Session, new_user: NewUser) -> User:
    return new_user(session, "Ada")


@pytest.fixture
def reviews(session: Session, collection: Collection) -> Reviews:
    """A function that lets somebody decide the photos of these places, so many seconds after each other."""

    def review(
        user: User, places: range, *, every: float = 10.0, ago: timedelta = timedelta(), **change: object
    ) -> None:
        rows = session.scalars(
            select(Caption).join(Item, Item.id == Caption.item_id).order_by(Item.position)
        ).all()
        for number, place in enumerate(reversed(places)):
            caption = rows[place]
            captions.revise(
                session,
                caption,
                version=caption.version,
                user=user,
                **(change or {"state": CaptionState.ACCEPTED}),
            )  # type: ignore[arg-type]
            at = utc_now() - ago - timedelta(seconds=every * (len(places) - 1 - number))
            session.flush()
            latest = select(HistoryEntry.id).order_by(HistoryEntry.id.desc()).limit(1).scalar_subquery()
            session.execute(update(HistoryEntry).where(HistoryEntry.id == latest).values(created_at=at))

    return review


def only(session: Session, collection: Collection, viewer: User | None = None) -> progress.Reviewer:
    (one,) = progress.of_collection(session, collection, viewer=viewer).reviewers.rows
    return one


def test_decisions_are_counted_by_what_they_were(
    session: Session, collection: Collection, ada: User, reviews: Reviews
) -> None:
    reviews(ada, range(3))
    reviews(ada, range(3, 5), text="A red boat.", state=CaptionState.ACCEPTED)
    reviews(ada, range(5, 6), state=CaptionState.REJECTED)
    reviews(ada, range(5, 6), state=CaptionState.CANDIDATE)
    item = session.get_one(Item, session.scalars(select(Item.id)).first())
    captions.write(session, item, text="A ship.", user=ada)
    decided = only(session, collection).decisions
    assert (decided.accepted, decided.edited, decided.rejected, decided.written) == (3, 2, 1, 1)
    assert decided.total == 7, "taking a rejection back decides nothing"


def test_what_takes_a_decision_back_is_none(
    session: Session, collection: Collection, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_midnight", lambda: utc_now() - timedelta(hours=1))
    caption = session.scalars(select(Caption).order_by(Caption.id)).first()
    assert caption is not None
    item = session.get_one(Item, caption.item_id)
    captions.revise(session, caption, version=1, user=ada, text="A ship.")
    decisions.undo(session, caption, version=2, user=ada)
    session.flush()
    edited = session.scalars(select(HistoryEntry.id).order_by(HistoryEntry.id)).first()
    assert edited is not None
    decisions.restore(session, caption, entry_id=edited, version=3, user=ada)
    captions.revise(session, caption, version=4, user=ada, state=CaptionState.REJECTED)
    decisions.undo(session, caption, version=5, user=ada)
    decisions.undo(session, caption, version=6, user=ada)
    captions.revise(session, caption, version=7, user=ada, state=CaptionState.CANDIDATE)
    decisions.reject_picture(session, item, ada)
    decisions.reopen_picture(session, item, ada)
    session.flush()
    decided = only(session, collection).decisions
    assert (decided.today, decided.edited, decided.rejected) == (3, 1, 2)
    assert progress.of_reviewer(session, collection, ada).today == 3


def test_days_are_told_apart(session: Session, collection: Collection, ada: User, reviews: Reviews) -> None:
    reviews(ada, range(2), every=0)
    reviews(ada, range(2, 5), ago=timedelta(days=3))
    reviews(ada, range(5, 9), ago=timedelta(days=30))
    decided = only(session, collection).decisions
    assert (decided.today, decided.week, decided.total) == (2, 5, 9)


def test_the_pace_is_that_of_sittings_without_their_pauses(
    session: Session, collection: Collection, ada: User, reviews: Reviews
) -> None:
    reviews(ada, range(4), every=30, ago=timedelta(hours=5))
    reviews(ada, range(4, 8), every=10)
    speed = only(session, collection).speed
    assert speed.median_seconds == pytest.approx(20, abs=2)
    assert speed.photos_an_hour == pytest.approx(180, rel=0.1)


def test_several_captions_of_one_photo_are_one_step(
    session: Session, collection: Collection, ada: User, reviews: Reviews
) -> None:
    reviews(ada, range(2), every=10)
    session.execute(update(HistoryEntry).values(item_id=session.scalar(select(Item.id).limit(1))))
    assert only(session, collection).speed == progress.UNKNOWN


def test_what_was_done_to_many_at_once_and_what_was_imported_is_nobodys_work(
    session: Session, collection: Collection, ada: User, reviews: Reviews
) -> None:
    reviews(ada, range(6))
    entries = list(session.scalars(select(HistoryEntry.id).order_by(HistoryEntry.id)))
    session.execute(update(HistoryEntry).where(HistoryEntry.id.in_(entries[:2])).values(operation_id=1))
    session.execute(
        update(HistoryEntry)
        .where(HistoryEntry.id.in_(entries[2:4]))
        .values(action="imported", text_before=None)
    )
    session.execute(update(HistoryEntry).where(HistoryEntry.id == entries[4]).values(user_id=None))
    assert progress.of_collection(session, collection, viewer=None).decisions.total == 1


def test_reviewers_see_themselves_and_the_totals_and_admins_see_all(
    session: Session, collection: Collection, ada: User, reviews: Reviews, new_user: NewUser
) -> None:
    bob, carl = new_user(session, "bob"), new_user(session, "Carl", Role.ADMIN)
    reviews(ada, range(3))
    reviews(bob, range(3, 5))
    bobs = progress.of_collection(session, collection, viewer=bob)
    assert [one.name for one in bobs.reviewers.rows] == ["bob"]
    assert bobs.decisions.total == 5
    all_of_them = progress.of_collection(session, collection, viewer=carl).reviewers.rows
    assert [(one.name, one.decisions.total) for one in all_of_them] == [("Ada", 3), ("bob", 2)]


def test_the_time_left_is_the_photos_that_wait_at_the_latest_pace(
    session: Session, collection: Collection, ada: User, reviews: Reviews
) -> None:
    assert progress.of_collection(session, collection, viewer=None).seconds_left is None
    reviews(ada, range(6), every=20)
    made = progress.of_collection(session, collection, viewer=None)
    assert made.left == 6
    assert made.seconds_left == pytest.approx(120, rel=0.1)


def test_whoever_is_assigned_photos_is_listed_with_what_is_left(
    session: Session, collection: Collection, ada: User, reviews: Reviews, new_user: NewUser
) -> None:
    bob = new_user(session, "Bob")
    ids = list(session.scalars(select(Item.id).order_by(Item.position)))
    session.execute(update(Item).where(Item.id.in_(ids[:4])).values(assignee_id=bob.id))
    reviews(bob, range(1))
    one = only(session, collection)
    assert (one.name, one.assigned, one.left, one.decisions.total) == ("Bob", 4, 3, 1)


def test_ones_own_day_is_that_of_this_collection(
    session: Session,
    collection: Collection,
    ada: User,
    reviews: Reviews,
    filled: Filled,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "_midnight", lambda: utc_now() - timedelta(hours=1))
    reviews(ada, range(5, 8), ago=timedelta(days=2))
    reviews(ada, range(5), every=10)
    other, (item_id,), _ = filled(session, 1, "Lake")
    captions.write(session, session.get_one(Item, item_id), text="A lake.", user=ada)
    mine = progress.of_reviewer(session, collection, ada)
    assert mine.today == 5
    assert mine.speed.photos_an_hour == pytest.approx(360, rel=0.1)
    assert progress.of_reviewer(session, session.get_one(Collection, other), ada).today == 1
