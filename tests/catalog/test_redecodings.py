"""Questions to the network: asked within bounds, lent to one worker at a time, told to who asked."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from catalog import chunks, inside, items, jobs, reconciler, recording, redecodings, workers
from catalog.database import Database, database_clock
from catalog.errors import InvalidInput, NotFound
from catalog.queue import Queue
from catalog.redecodings import Asked
from catalog.schema import (
    Caption,
    CaptionDetail,
    Checkpoint,
    CheckpointState,
    Collection,
    Item,
    Redecoding,
    RedecodingKind,
    RedecodingState,
    Role,
    User,
    utc_now,
)

WORDS = ["a", "boat", "sails"]


class Woken(Queue):
    """Counts wake-ups instead of publishing them."""

    def __init__(self) -> None:
        self.times = 0

    def wake(self, times: int = 1, *, queue: str = "caption") -> bool:
        self.times += times
        return True

    def probe(self) -> bool:
        return True


@pytest.fixture
def user(session: Session, new_user: Callable[..., User]) -> User:
    return new_user(session, "ada", Role.ADMIN)


@pytest.fixture
def item(session: Session, filled: Callable[..., tuple[int, list[int], int]]) -> Item:
    _, (item_id,), _ = filled(session, 1)
    return session.get_one(Item, item_id)


def replacements(session: Session, item: Item, user: User, **asked: Any) -> Redecoding:
    question = {"words": WORDS, "position": 1, "count": 5} | asked
    return redecodings.ask_for_replacements(session, item, user=user, **question)


def claimed(session: Session) -> Asked:
    held = redecodings.claim(session)
    assert held
    return held


def let_the_lease_run_out(session: Session) -> None:
    session.execute(update(Redecoding).values(lease_expires=database_clock() - 1))
    session.expire_all()


def test_a_question_is_lent_once_and_its_answer_kept(session: Session, item: Item, user: User) -> None:
    asked = replacements(session, item, user)
    assert redecodings.wait(session)
    held = claimed(session)
    assert (held.kind, held.question) == (
        RedecodingKind.REPLACEMENTS,
        {"words": WORDS, "position": 1, "count": 5},
    )
    assert not redecodings.wait(session)
    assert redecodings.claim(session) is None
    redecodings.answer(session, held, {"replacements": []})
    session.refresh(asked)
    assert (asked.state, asked.answer) == (RedecodingState.ANSWERED, {"replacements": []})


def test_questions_are_answered_in_their_order(session: Session, item: Item, user: User) -> None:
    first = replacements(session, item, user)
    redecodings.ask_to_continue(session, item, user=user, prefix="A red")
    assert claimed(session).redecoding_id == first.id
    assert claimed(session).question == {"prefix": "A red"}


@pytest.mark.parametrize(
    "asked",
    [
        {"words": []},
        {"words": ["a"] * 101},
        {"words": ["a", ""]},
        {"words": ["a", "b" * 101]},
        {"position": -1},
        {"position": 3},
        {"count": 0},
        {"count": 33},
    ],
)
def test_what_is_out_of_bounds_is_refused(
    session: Session, item: Item, user: User, asked: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput):
        replacements(session, item, user, **asked)


def test_a_text_that_is_too_long_is_refused(session: Session, item: Item, user: User) -> None:
    with pytest.raises(InvalidInput, match="2001 characters"):
        redecodings.ask_to_continue(session, item, user=user, prefix="a" * 2001)


def test_the_checkpoint_of_the_caption_is_asked_before_the_active_one(
    session: Session, item: Item, user: User
) -> None:
    active = session.scalars(select(Checkpoint)).one()
    older = Checkpoint(
        name="older",
        state=CheckpointState.RETIRED,
        weights_sha256="0",
        description_sha256="1",
        description={},
    )
    session.add(older)
    session.flush()
    theirs = Caption(item_id=item.id, text="A boat.", origin="model", checkpoint_id=older.id)
    people = Caption(item_id=item.id, text="A boat.", origin="written")
    session.add_all([theirs, people])
    session.flush()
    assert replacements(session, item, user, caption=theirs).checkpoint_id == older.id
    assert replacements(session, item, user, caption=people).checkpoint_id == active.id
    assert replacements(session, item, user).checkpoint_id == active.id


def test_a_caption_of_another_photo_is_refused(
    session: Session, filled: Callable[..., tuple[int, list[int], int]], user: User
) -> None:
    _, (one, other), _ = filled(session, 2)
    caption = Caption(item_id=other, text="A boat.", origin="written")
    session.add(caption)
    session.flush()
    with pytest.raises(InvalidInput, match="none of item"):
        replacements(session, session.get_one(Item, one), user, caption=caption)


def test_only_who_asked_is_told(
    session: Session, item: Item, user: User, new_user: Callable[..., User]
) -> None:
    asked = replacements(session, item, user)
    assert redecodings.get(session, asked.id, viewer=user) is asked
    for stranger in (new_user(session, "eve", Role.ADMIN), None):
        with pytest.raises(NotFound):
            redecodings.get(session, asked.id, viewer=stranger)


def test_a_question_of_a_dead_worker_is_lent_again_and_what_that_one_says_is_dropped(
    session: Session, item: Item, user: User
) -> None:
    asked = replacements(session, item, user)
    dead = claimed(session)
    let_the_lease_run_out(session)
    assert redecodings.wait(session)
    held = claimed(session)
    assert (held.redecoding_id, held.attempt) == (asked.id, 2)
    redecodings.answer(session, dead, {"replacements": ["late"]})
    session.refresh(asked)
    assert asked.state is RedecodingState.CLAIMED
    redecodings.answer(session, held, {"replacements": []})
    session.refresh(asked)
    assert asked.answer == {"replacements": []}


def test_a_question_that_ended_three_workers_fails_and_the_next_one_is_lent(
    session: Session, item: Item, user: User
) -> None:
    poison, next_one = replacements(session, item, user), replacements(session, item, user)
    for _ in range(3):
        assert claimed(session).redecoding_id == poison.id
        let_the_lease_run_out(session)
    assert claimed(session).redecoding_id == next_one.id
    session.refresh(poison)
    assert poison.state is RedecodingState.FAILED
    assert "3 times" in str(poison.error)


def test_a_lease_that_a_clock_set_back_made_too_long_counts_as_over(
    session: Session, item: Item, user: User
) -> None:
    replacements(session, item, user)
    claimed(session)
    session.execute(update(Redecoding).values(lease_expires=database_clock() + 3600))
    assert redecodings.wait(session)


def test_what_is_given_back_waits_and_charges_nobody(session: Session, item: Item, user: User) -> None:
    asked = replacements(session, item, user)
    redecodings.release(session, claimed(session))
    session.refresh(asked)
    assert (asked.state, asked.attempts) == (RedecodingState.WAITING, 0)


def test_old_questions_go_when_somebody_asks(session: Session, item: Item, user: User) -> None:
    old, young = replacements(session, item, user), replacements(session, item, user)
    session.execute(
        update(Redecoding).where(Redecoding.id == old.id).values(created_at=utc_now() - timedelta(minutes=61))
    )
    newest = replacements(session, item, user)
    assert session.scalars(select(Redecoding.id).order_by(Redecoding.id)).all() == [young.id, newest.id]


def test_of_one_user_only_the_newest_questions_wait(
    session: Session, item: Item, user: User, new_user: Callable[..., User]
) -> None:
    other = replacements(session, item, new_user(session, "bob"))
    asked = [replacements(session, item, user) for _ in range(12)]
    session.expire_all()
    assert [one.state for one in asked] == [RedecodingState.FAILED] * 2 + [RedecodingState.WAITING] * 10
    assert "ask again" in str(asked[0].error)
    assert other.state is RedecodingState.WAITING


def test_a_question_goes_with_its_photo_and_its_worker_may_answer_all_the_same(
    session: Session, item: Item, user: User
) -> None:
    replacements(session, item, user)
    held = claimed(session)
    items.remove(session, item, user=None)
    redecodings.answer(session, held, {})
    assert session.scalars(select(Redecoding)).all() == []


def test_two_workers_at_once_get_a_question_each(
    database: Database, filled: Callable[..., tuple[int, list[int], int]], new_user: Callable[..., User]
) -> None:
    with database.writing() as session:
        _, (item_id,), _ = filled(session, 1)
        user = new_user(session, "ada")
        asked = [replacements(session, session.get_one(Item, item_id), user).id for _ in range(2)]
    if database.is_sqlite:
        with database.writing() as one:
            got = [claimed(one).redecoding_id]
        with database.writing() as other:
            got.append(claimed(other).redecoding_id)
    else:
        with database.writing() as one, database.writing() as other:
            got = [claimed(session).redecoding_id for session in (one, other)]
    assert got == asked


def test_a_reconciler_wakes_a_worker_for_a_question(
    database: Database, filled: Callable[..., tuple[int, list[int], int]], new_user: Callable[..., User]
) -> None:
    queue = Woken()
    with database.writing() as session:
        _, (item_id,), _ = filled(session, 1)
        workers.register(session, name="one", device="cpu", version="0")
        user = new_user(session, "ada")
    assert not reconciler.reconcile(database, queue)
    with database.writing() as session:
        replacements(session, session.get_one(Item, item_id), user)
    assert reconciler.reconcile(database, queue)
    assert queue.times == 1


def test_at_most_three_words_are_doubtful_and_none_without_a_calibration(
    session: Session, filled: Callable[..., tuple[int, list[int], int]], written: Callable[..., list[Any]]
) -> None:
    collection_id, (item_id,), checkpoint_id = filled(session, 1)
    checkpoint = session.get_one(Checkpoint, checkpoint_id)
    jobs.create_caption_job(
        session, session.get_one(Collection, collection_id), checkpoint=checkpoint, user=None
    )
    held = chunks.claim(session, worker_id=workers.register(session, name="one", device="cpu", version="0"))
    assert held
    recording.record(session, held, written(held))
    caption = session.scalars(select(Caption).where(Caption.item_id == item_id)).one()
    detail = session.get_one(CaptionDetail, caption.id)
    detail.tokens = ["a", "boat", "and", "a", "red", "kite"]
    detail.token_probabilities = [1.0, 0.2, 0.9, 0.4, 0.3, 0.1]
    detail.attention = bytes(range(6 * 4))
    session.flush()
    bare = inside.of_caption(session, caption)
    assert not bare.calibrated
    assert {(word.confidence, word.doubtful) for word in bare.words} == {(None, False)}
    assert (bare.side, bare.grids, bare.framing) == (2, bytes(range(24)), "squash")

    checkpoint.description = {
        "word_calibration": {"slope": 1.0, "bias": 0.0},
        "preprocessing": {"framing": "crop"},
    }
    session.flush()
    fitted = inside.of_caption(session, caption)
    assert fitted.calibrated
    assert fitted.framing == "crop"
    assert [word.text for word in fitted.words if word.doubtful] == ["boat", "red", "kite"]
    assert [round(word.confidence or 0, 3) for word in fitted.words] == [1.0, 0.2, 0.9, 0.4, 0.3, 0.1]


def test_a_caption_of_people_has_no_inside(session: Session, item: Item) -> None:
    caption = Caption(item_id=item.id, text="A boat.", origin="written")
    session.add(caption)
    session.flush()
    with pytest.raises(NotFound, match="no network"):
        inside.of_caption(session, caption)
