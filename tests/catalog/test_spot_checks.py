"""Spot checks: nothing is accepted unread without one, and what was found wrong never is."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from catalog import accounts, captions, collections, operations, spot_checks
from catalog.database import Database
from catalog.errors import CatalogError, Conflict, InvalidInput, NotAllowed, NotFound
from catalog.filters import EVERYTHING, ItemFilter
from catalog.operation_runner import run_all
from catalog.schema import (
    Caption,
    CaptionKind,
    CaptionState,
    Collection,
    Operation,
    OperationKind,
    Origin,
    SpotCheck,
    User,
    utc_now,
)

COUNT = 50


@pytest.fixture
def collection(database: Database, filled: Callable[..., Any], new_user: Callable[..., User]) -> int:
    """The id of a collection of bob's and cyd's with fifty captions and ten alt texts that wait."""
    with database.writing() as session:
        collection_id, item_ids, _ = filled(session, COUNT)
        for name in ("bob", "cyd"):
            collections.add_member(
                session, session.get_one(Collection, collection_id), new_user(session, name)
            )
        session.add_all(
            Caption(item_id=one, text=f"A dog at {one}.", origin=Origin.MODEL, updated_at=_before())
            for one in item_ids
        )
        session.add_all(
            Caption(item_id=one, text="Alt", origin=Origin.MODEL, kind=CaptionKind.ALT)
            for one in item_ids[:10]
        )
        session.flush()
        captions.refresh_review_state(session, item_ids)
    return int(collection_id)


def draw(
    database: Database, collection_id: int, filter: ItemFilter = EVERYTHING, who: str = "bob"
) -> SpotCheck:
    with database.writing() as session:
        user = accounts.by_name(session, who)
        check = spot_checks.draw(session, session.get_one(Collection, collection_id), filter, user=user)
        session.add(check)
    return check


def judge(
    database: Database, check: SpotCheck, *, wrong: int = 0, finish: bool = True, who: str = "bob"
) -> None:
    """Find the first `wrong` captions of a check wrong, and the others right."""
    with database.writing() as session:
        user = accounts.by_name(session, who)
        held = spot_checks.get(session, check.id, viewer=user)
        for place, one in enumerate(held.captions):
            spot_checks.judge(session, held, one["id"], right=place >= wrong, user=user)
        if finish:
            spot_checks.finish(session, held, user=user)


def accept(
    database: Database,
    collection_id: int,
    check: SpotCheck | None,
    *,
    filter: ItemFilter = EVERYTHING,
    who: str = "bob",
) -> Operation:
    with database.writing() as session:
        operation = operations.prepare(
            session,
            session.get_one(Collection, collection_id),
            kind=OperationKind.ACCEPT,
            filter=filter,
            options={},
            user=accounts.by_name(session, who),
            spot_check_id=check.id if check else None,
        )
        session.add(operation)
    run_all(database)
    return operation


def in_state(session: Session, state: CaptionState) -> list[int]:
    query = select(Caption.id).where(Caption.state == state, Caption.kind == CaptionKind.CAPTION)
    return list(session.scalars(query))


def test_twenty_captions_are_drawn_at_random_among_those_that_would_be_accepted(
    database: Database, collection: int
) -> None:
    first, second = draw(database, collection), draw(database, collection)
    ids = [[one["id"] for one in check.captions] for check in (first, second)]
    assert [len(set(one)) for one in ids] == [20, 20]
    assert set(ids[0]) != set(ids[1])
    assert first.total == COUNT
    with database.reading() as session:
        kinds = select(Caption.kind).where(Caption.id.in_([*ids[0], *ids[1]])).distinct()
        assert session.scalars(kinds).all() == [CaptionKind.CAPTION]


def test_every_caption_has_the_same_chance(database: Database, collection: int) -> None:
    drawn: dict[int, int] = {}
    for _ in range(100):
        with database.writing_session() as session:
            user = accounts.by_name(session, "bob")
            check = spot_checks.draw(session, session.get_one(Collection, collection), EVERYTHING, user=user)
            for one in check.captions:
                drawn[one["id"]] = drawn.get(one["id"], 0) + 1
    # 40 times each on average, 5 at most from it in two of three cases.
    assert len(drawn) == COUNT
    assert all(15 < times < 65 for times in drawn.values())


def test_where_there_are_fewer_all_are_shown_and_the_rate_is_exact(
    database: Database, collection: int
) -> None:
    few = ItemFilter(path="000")
    check = draw(database, collection, few)
    assert len(check.captions) == check.total == 10
    judge(database, check, wrong=2)
    with database.reading() as session:
        found = spot_checks.error_rate(session.get_one(SpotCheck, check.id))
    assert found
    assert (found.rate, found.low, found.high) == (0.2, 0.2, 0.2)


def test_the_operation_records_the_check_and_never_accepts_what_was_wrong(
    database: Database, collection: int
) -> None:
    check = draw(database, collection)
    judge(database, check, wrong=3)
    operation = accept(database, collection, check)
    with database.reading() as session:
        line = operations.get(session, operation.id, viewer=None)
        found = line.error_rate
        assert found
        assert (found.wrong, found.checked) == (3, 20)
        assert (round(found.low, 3), round(found.high, 3)) == (0.052, 0.360)
        assert (line.operation.total, line.operation.done, line.operation.skipped) == (COUNT, COUNT - 3, 3)
        wrong = [one["id"] for one in check.captions[:3]]
        assert sorted(in_state(session, CaptionState.CANDIDATE)) == sorted(wrong)
        alt = select(func.count()).where(
            Caption.kind == CaptionKind.ALT, Caption.state == CaptionState.CANDIDATE
        )
        assert session.scalar(alt) == 10


@pytest.mark.parametrize(
    ("wrong", "low", "high"), [(0, 0.0, 0.161), (1, 0.009, 0.236), (10, 0.299, 0.701), (20, 0.839, 1.0)]
)
def test_the_interval_is_wilsons(wrong: int, low: float, high: float) -> None:
    assert spot_checks.wilson(wrong, 20) == (pytest.approx(low, abs=5e-4), pytest.approx(high, abs=5e-4))


def _before() -> Any:
    return utc_now() - timedelta(minutes=1)


def _age(session: Session, check: SpotCheck) -> None:
    session.execute(update(SpotCheck).values(finished_at=utc_now() - timedelta(hours=25)))


def _replace(session: Session, check: SpotCheck) -> None:
    session.delete(session.get_one(Caption, check.captions[0]["id"]))


@pytest.mark.parametrize(
    ("spoil", "said"), [(_age, "older than a day"), (_replace, "1 of the captions .* replaced since")]
)
def test_a_check_that_is_no_good_any_more_is_refused(
    database: Database, collection: int, spoil: Callable[..., None], said: str
) -> None:
    check = draw(database, collection)
    judge(database, check)
    with database.writing() as session:
        spoil(session, check)
    with pytest.raises(Conflict, match=said):
        accept(database, collection, check)


def test_only_the_right_check_lets_accept(database: Database, collection: int) -> None:
    check = draw(database, collection)

    def refused(error: type[CatalogError], said: str, *, with_check: bool = True, **options: Any) -> None:
        with pytest.raises(error, match=said):
            accept(database, collection, check if with_check else None, **options)

    refused(Conflict, "takes a spot check of 20", with_check=False)
    judge(database, check, finish=False)
    refused(Conflict, "not finished")
    judge(database, check)
    refused(Conflict, "another selection", filter=ItemFilter(path="000"))
    refused(NotAllowed, "somebody else's", who="cyd")
    with database.reading() as session:
        assert in_state(session, CaptionState.ACCEPTED) == []


def test_captions_that_came_or_changed_behind_the_check_are_not_accepted(
    database: Database, collection: int
) -> None:
    check = draw(database, collection)
    judge(database, check)
    with database.writing() as session:
        drawn = [one["id"] for one in check.captions]
        other = session.scalars(select(Caption).where(Caption.id.not_in(drawn)).order_by(Caption.id)).first()
        assert other
        captions.revise(session, other, version=1, user=None, text="A text that nobody has checked.")
        late = Caption(item_id=other.item_id, text="Late.", origin=Origin.MODEL)
        session.add(late)
        session.flush()
    operation = accept(database, collection, check)
    with database.reading() as session:
        assert sorted(in_state(session, CaptionState.CANDIDATE)) == sorted([other.id, late.id])
        assert session.get_one(Operation, operation.id).done == COUNT - 1


def test_what_somebody_ticked_takes_no_check(database: Database, collection: int) -> None:
    with database.reading() as session:
        ids = tuple(session.scalars(select(Caption.item_id).order_by(Caption.id).limit(5)))
    accept(database, collection, None, filter=ItemFilter(ids=ids))
    with database.reading() as session:
        assert len(in_state(session, CaptionState.ACCEPTED)) == 5


def test_a_check_is_its_owners_and_has_one_end(
    database: Database, collection: int, new_user: Callable[..., User]
) -> None:
    check = draw(database, collection)
    with pytest.raises(NotAllowed, match="somebody else's"):
        judge(database, check, who="cyd")
    with database.writing() as session:
        bob, eve = accounts.by_name(session, "bob"), new_user(session, "eve")
        with pytest.raises(NotFound):
            spot_checks.get(session, check.id, viewer=eve)
        held = spot_checks.get(session, check.id, viewer=bob)
        with pytest.raises(InvalidInput, match="none of spot check"):
            spot_checks.judge(session, held, 10_000, right=True, user=bob)
        with pytest.raises(Conflict, match="20 of the 20 captions are not judged"):
            spot_checks.finish(session, held, user=bob)
    judge(database, check)
    with pytest.raises(Conflict, match="is finished"):
        judge(database, check)


def test_nothing_is_drawn_where_nothing_waits(database: Database, collection: int) -> None:
    with pytest.raises(Conflict, match="nothing to check"):
        draw(database, collection, ItemFilter(path="nowhere"))
