"""Bulk operations: done step by step, whoever dies in between, and undone as one."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from catalog import (
    accounts,
    captions,
    collections,
    items,
    operation_runner,
    operations,
    previews,
    spot_checks,
)
from catalog.database import Database, database_clock
from catalog.errors import Conflict, InvalidInput, NotAllowed, NotFound, StaleCaption
from catalog.filters import EVERYTHING, ItemFilter
from catalog.operation_runner import Run, claim, run_all
from catalog.schema import (
    Caption,
    CaptionDetail,
    CaptionKind,
    CaptionState,
    Collection,
    HistoryEntry,
    Item,
    Operation,
    OperationKind,
    OperationState,
    Origin,
    ReviewState,
    Role,
    User,
)

COUNT = 10


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three items a step, so that ten items take four."""
    monkeypatch.setattr(operation_runner, "ITEMS", 3)


@pytest.fixture
def collection(database: Database, filled: Callable[..., Any], new_user: Callable[..., User]) -> int:
    """The id of a collection whose ten photos have a model's caption each, with confidences 0.0 to 0.9."""
    with database.writing() as session:
        collection_id, item_ids, checkpoint_id = filled(session, COUNT)
        new_user(session, "ada", Role.ADMIN)
        for name in ("bob", "cyd"):
            collections.add_member(
                session, session.get_one(Collection, collection_id), new_user(session, name)
            )
        for number, item_id in enumerate(item_ids):
            caption = Caption(
                item_id=item_id, text=f"A dog at {number}.", origin=Origin.MODEL, checkpoint_id=checkpoint_id
            )
            session.add(caption)
            session.flush()
            session.add(
                CaptionDetail(
                    caption_id=caption.id,
                    model_text=caption.text,
                    score=-1.0,
                    confidence=number / 10,
                    tokens=[],
                    token_probabilities=[],
                    alternatives=[],
                )
            )
        captions.refresh_review_state(session, item_ids)
    return int(collection_id)


def begin(
    database: Database,
    collection_id: int,
    kind: OperationKind,
    *,
    filter: ItemFilter = EVERYTHING,
    who: str = "bob",
    **options: Any,
) -> int:
    """Start an operation, after a spot check that found nothing wrong where it takes one."""
    with database.writing() as session:
        collection, user = session.get_one(Collection, collection_id), accounts.by_name(session, who)
        check = None
        if kind is OperationKind.ACCEPT and not filter.ids:
            check = spot_checks.draw(session, collection, filter, user=user)
            session.add(check)
            session.flush()
            for one in check.captions:
                spot_checks.judge(session, check, one["id"], right=True, user=user)
            spot_checks.finish(session, check, user=user)
        operation = operations.prepare(
            session,
            collection,
            kind=kind,
            filter=filter,
            options=options,
            user=user,
            spot_check_id=check.id if check else None,
        )
        session.add(operation)
        session.flush()
        return operation.id


def take_back(database: Database, operation_id: int, who: str = "bob") -> int:
    with database.writing() as session:
        user = accounts.by_name(session, who)
        line = operations.get(session, operation_id, viewer=user)
        return operations.undo(session, line.operation, user=user).id


def done(database: Database, collection_id: int, kind: OperationKind, **options: Any) -> int:
    operation_id = begin(database, collection_id, kind, **options)
    run_all(database)
    return operation_id


def counts(database: Database, operation_id: int) -> tuple[OperationState, int, int, int]:
    with database.reading() as session:
        one = session.get_one(Operation, operation_id)
        return one.state, one.total, one.done, one.skipped


def rows(database: Database, *columns: Any) -> Sequence[Any]:
    with database.reading() as session:
        return session.execute(select(*columns).order_by(Caption.id)).all()


def everything(database: Database) -> Sequence[Any]:
    """All of captions that an undo has to bring back, with what is derived from them."""
    with database.reading() as session:
        query = select(
            Caption.text, Caption.state, Caption.origin, Caption.author_id, Item.review_state, Item.doubt
        )
        return session.execute(query.join(Item, Item.id == Caption.item_id).order_by(Caption.id)).all()


def test_all_that_waits_is_accepted_with_history_and_review_state(
    database: Database, collection: int
) -> None:
    operation_id = done(database, collection, OperationKind.ACCEPT)
    assert counts(database, operation_id) == (OperationState.DONE, COUNT, COUNT, 0)
    accepted = (CaptionState.ACCEPTED, Origin.BULK, 2)
    assert set(rows(database, Caption.state, Caption.origin, Caption.version)) == {accepted}
    with database.reading() as session:
        assert set(session.scalars(select(Item.review_state))) == {ReviewState.ACCEPTED}
        assert set(session.scalars(select(Item.doubt))) == {0.0}
        entries = session.scalars(select(HistoryEntry).where(HistoryEntry.operation_id == operation_id)).all()
    assert len(entries) == COUNT
    assert {(one.action, one.state_before, one.state_after, one.origin_before) for one in entries} == {
        ("accepted", CaptionState.CANDIDATE, CaptionState.ACCEPTED, Origin.MODEL)
    }


def test_only_the_captions_that_the_filter_means_are_accepted(database: Database, collection: int) -> None:
    with database.writing() as session:
        first = session.scalars(select(Item.id).order_by(Item.id)).all()[9]
        doubtful = Caption(item_id=first, text="A cat?", origin=Origin.MODEL)
        session.add(doubtful)
        session.flush()
    operation_id = done(database, collection, OperationKind.ACCEPT, filter=ItemFilter(above=0.7))
    assert counts(database, operation_id)[1:] == (3, 3, 0)
    states = dict(rows(database, Caption.text, Caption.state))
    assert [text for text, state in states.items() if state is CaptionState.ACCEPTED] == [
        "A dog at 7.",
        "A dog at 8.",
        "A dog at 9.",
    ]


def test_days_later_one_undo_brings_everything_back(database: Database, collection: int) -> None:
    with database.writing() as session:
        caption = session.scalars(select(Caption).order_by(Caption.id)).first()
        assert caption
        user = accounts.by_name(session, "cyd")
        captions.revise(session, caption, version=1, user=user, text="A dog of Cyd's.", state=caption.state)
    before = everything(database)
    operation_id = done(database, collection, OperationKind.ACCEPT)
    assert everything(database) != before
    undo_id = take_back(database, operation_id)
    # Another process, with nothing but the database.
    restarted = Database(database.url.render_as_string(hide_password=False))
    run_all(restarted)
    restarted.close()
    assert everything(database) == before
    assert counts(database, undo_id) == (OperationState.DONE, COUNT, COUNT, 0)
    with pytest.raises(Conflict, match="undone already"):
        take_back(database, operation_id)
    with pytest.raises(Conflict, match="is an undo"):
        take_back(database, undo_id)


def test_who_only_put_captions_in_order_is_not_taken_for_who_decided_them(
    database: Database, collection: int
) -> None:
    with database.writing() as session:
        bob, cyd = (accounts.by_name(session, name) for name in ("bob", "cyd"))
        item = session.scalars(select(Item).order_by(Item.id)).first()
        assert item
        (held,) = captions.of_item(session, item)
        captions.revise(session, held.caption, version=1, user=bob, text="A dog of Bob's.")
        other = captions.write(session, item, text="A cat.", user=bob)
        captions.reorder(session, item, [other.id, held.caption.id], cyd)
    before = everything(database)
    take_back(database, done(database, collection, OperationKind.REPLACE, find="dog", put="cat"))
    run_all(database)
    assert everything(database) == before


def test_what_was_changed_since_stays_and_is_counted(database: Database, collection: int) -> None:
    operation_id = done(database, collection, OperationKind.REPLACE, find="dog", put="cat")
    with database.writing() as session:
        changed, deleted = session.scalars(select(Caption).order_by(Caption.id)).all()[:2]
        captions.revise(session, changed, version=2, user=None, text="A horse.")
        items.remove(session, session.get_one(Item, deleted.item_id), user=None)
    undo_id = take_back(database, operation_id)
    run_all(database)
    assert counts(database, undo_id) == (OperationState.DONE, COUNT, COUNT - 2, 2)
    texts = [text for (text,) in rows(database, Caption.text)]
    assert texts == ["A horse.", *(f"A dog at {number}." for number in range(2, COUNT))]


def test_only_who_did_it_or_an_admin_undoes(database: Database, collection: int) -> None:
    operation_id = done(database, collection, OperationKind.REJECT)
    with pytest.raises(NotAllowed, match="somebody else's"):
        take_back(database, operation_id, who="cyd")
    take_back(database, operation_id, who="ada")
    run_all(database)
    assert {state for (state,) in rows(database, Caption.state)} == {CaptionState.CANDIDATE}


def test_an_operation_that_runs_cannot_be_undone_yet(database: Database, collection: int) -> None:
    operation_id = begin(database, collection, OperationKind.REJECT)
    with pytest.raises(Conflict, match="still running"):
        take_back(database, operation_id)


@pytest.mark.parametrize("steps", range(5))
def test_a_process_killed_between_steps_loses_and_doubles_nothing(
    database: Database, collection: int, steps: int
) -> None:
    operation_id = begin(database, collection, OperationKind.APPEND, text=" Woof.")
    held = claim(database)
    assert held
    killed = Run(database, held)
    for _ in range(steps):
        assert killed.step()
    run_all(database)
    assert counts(database, operation_id)[0] is OperationState.RUNNING  # its lease is not over
    with database.writing() as session:
        session.execute(update(Operation).values(lease_expires=database_clock() - 1))
    run_all(database)
    assert counts(database, operation_id) == (OperationState.DONE, COUNT, COUNT, 0)
    killed.to_end()  # comes back from the dead, and sees that it is over
    assert [text for (text,) in rows(database, Caption.text)] == [
        f"A dog at {n}. Woof." for n in range(COUNT)
    ]
    with database.reading() as session:
        entries = select(func.count()).where(HistoryEntry.operation_id == operation_id)
        assert session.scalar(entries) == COUNT


def test_processes_that_race_do_everything_once(database: Database, collection: int) -> None:
    ids = [begin(database, collection, OperationKind.APPEND, text=f" {n}") for n in range(4)]
    racers = [threading.Thread(target=run_all, args=(database,)) for _ in range(3)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert {counts(database, one) for one in ids} == {(OperationState.DONE, COUNT, COUNT, 0)}
    for n, (text, version) in enumerate(rows(database, Caption.text, Caption.version)):
        assert sorted(text.removeprefix(f"A dog at {n}. ").split()) == ["0", "1", "2", "3"]
        assert version == 5


def test_a_save_from_before_is_stale_and_drafts_stay(database: Database, collection: int) -> None:
    with database.writing() as session:
        caption = session.scalars(select(Caption).order_by(Caption.id)).first()
        assert caption
        user, item = accounts.by_name(session, "bob"), session.get_one(Item, caption.item_id)
        captions.save_draft(session, item, user=user, text="A draft.", caption=caption)
    done(database, collection, OperationKind.PREPEND, text="Photo: ")
    with database.writing() as session:
        caption = session.get_one(Caption, caption.id)
        with pytest.raises(StaleCaption):
            captions.revise(session, caption, version=1, user=None, text="Mine.")
        draft = captions.draft_of(session, item, user)
        assert draft
        assert draft.text == "A draft."


def test_texts_keep_their_state_and_only_words_change_the_origin(database: Database, collection: int) -> None:
    with database.writing() as session:
        first, second = session.scalars(select(Caption).order_by(Caption.id)).all()[:2]
        captions.revise(session, first, version=1, user=None, state=CaptionState.ACCEPTED)
        captions.revise(session, second, version=1, user=None, state=CaptionState.REJECTED)
    done(database, collection, OperationKind.REPLACE, find="A dog", put="a dog", case=True)
    found = rows(database, Caption.text, Caption.state, Caption.origin)
    assert found[0] == ("a dog at 0.", CaptionState.ACCEPTED, Origin.ACCEPTED_UNCHANGED)
    assert found[1] == ("A dog at 1.", CaptionState.REJECTED, Origin.MODEL)
    assert found[2] == ("a dog at 2.", CaptionState.CANDIDATE, Origin.MODEL)
    everywhere = {"states": list(CaptionState), "find": "dog", "put": "cat"}
    done(database, collection, OperationKind.REPLACE, **everywhere)
    assert set(rows(database, Caption.origin)) == {(Origin.BULK,)}
    assert rows(database, Caption.text)[1] == ("A cat at 1.",)


def test_a_pattern_that_takes_too_long_ends_the_operation_and_the_rest_can_be_undone(
    database: Database, collection: int
) -> None:
    with database.writing() as session:
        last = session.scalars(select(Caption).order_by(Caption.id.desc())).first()
        assert last
        captions.revise(session, last, version=1, user=None, text="a" * 5_000 + "b")
    before = everything(database)
    options = {"find": r"(a+)+$|^A dog", "put": "Woof", "pattern": True, "case": True}
    operation_id = done(database, collection, OperationKind.REPLACE, **options)
    assert counts(database, operation_id) == (OperationState.FAILED, COUNT, 9, 0)
    with database.reading() as session:
        assert "takes longer than" in (session.get_one(Operation, operation_id).error or "")
    take_back(database, operation_id)
    run_all(database)
    assert everything(database) == before


def test_items_are_assigned_and_given_back(database: Database, collection: int) -> None:
    with database.writing() as session:
        cyd = accounts.by_name(session, "cyd").id
        bob = accounts.by_name(session, "bob").id
        session.execute(update(Item).where(Item.position == 1).values(assignee_id=cyd))
        session.execute(update(Item).where(Item.position == 2).values(assignee_id=bob))
    operation_id = done(database, collection, OperationKind.ASSIGN, assignee="bob")
    assert counts(database, operation_id) == (OperationState.DONE, COUNT, COUNT - 1, 1)
    with database.writing() as session:
        session.execute(update(Item).where(Item.position == 10).values(assignee_id=cyd))
    undo_id = take_back(database, operation_id)
    run_all(database)
    assert counts(database, undo_id) == (OperationState.DONE, COUNT - 1, COUNT - 2, 1)
    with database.reading() as session:
        found = session.scalars(select(Item.assignee_id).order_by(Item.position)).all()
    assert found == [cyd, bob, *[None] * 7, cyd]
    with pytest.raises(InvalidInput, match="'eve' is no member"):
        begin(database, collection, OperationKind.ASSIGN, assignee="eve")


def test_nothing_to_do_and_nonsense_are_refused(database: Database, collection: int) -> None:
    with pytest.raises(Conflict, match="nothing left to do"):
        begin(database, collection, OperationKind.REJECT, filter=ItemFilter(state=ReviewState.REJECTED))
    with pytest.raises(InvalidInput, match="missing"):
        begin(database, collection, OperationKind.REPLACE, find="(", pattern=True)
    with pytest.raises(InvalidInput, match="choose one"):
        begin(
            database,
            collection,
            OperationKind.APPEND,
            text="!",
            caption_kind="alt",
            filter=ItemFilter(kind=CaptionKind.CAPTION),
        )
    with pytest.raises(InvalidInput, match="by its number"):
        begin(database, collection, OperationKind.UNDO)


def test_strangers_learn_nothing_and_lists_go_on_behind_a_key(
    database: Database, collection: int, new_user: Callable[..., User]
) -> None:
    ids = [done(database, collection, OperationKind.APPEND, text=f" {n}") for n in range(3)]
    take_back(database, ids[2])
    with database.writing() as session:
        eve = new_user(session, "eve")
        with pytest.raises(NotFound):
            operations.get(session, ids[0], viewer=eve)
        there = session.get_one(Collection, collection)
        first = operations.recent(session, there, limit=2)
        rest = operations.recent(session, there, after=first.after, limit=2)
        bob = accounts.by_name(session, "bob")
    assert [line.operation.id for line in [*first.rows, *rest.rows]] == [ids[2] + 1, ids[2], ids[1], ids[0]]
    assert [line.may_undo(bob) for line in [*first.rows, *rest.rows]] == [False, False, True, True]
    assert {line.who for line in first.rows} == {"bob"}


def test_a_preview_counts_and_shows_differences(database: Database, collection: int) -> None:
    with database.reading() as session:
        told = _preview(session, collection, OperationKind.REPLACE, find="dog at 3", put="cat")
        assert (told.total, told.changed, told.exact) == (COUNT, 1, True)
        assert [(one.before, one.after) for one in told.examples] == [("A dog at 3.", "A cat.")]
        assert [one.mark for one in told.examples[0].differences] == ["same", "gone", "new", "same"]
        late = _preview(session, collection, OperationKind.REPLACE, find="dog", put="cat", seconds=0)
        assert (late.total, late.changed, late.exact) == (COUNT, 1, False)
        assert _preview(session, collection, OperationKind.REJECT).total == COUNT


def _preview(
    session: Session, collection: int, kind: OperationKind, seconds: float = 4, **options: Any
) -> previews.Preview:
    there = session.get_one(Collection, collection)
    return previews.preview(session, there, kind=kind, filter=EVERYTHING, options=options, seconds=seconds)


def test_a_collection_is_deleted_under_a_running_operation(database: Database, collection: int) -> None:
    begin(database, collection, OperationKind.REJECT)
    held = claim(database)
    assert held
    run = Run(database, held)
    assert run.step()
    with database.writing() as session:
        collections.remove(session, session.get_one(Collection, collection), user=None)
    run.to_end()
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Operation)) == 0
