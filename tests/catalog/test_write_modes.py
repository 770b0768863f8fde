"""What caption jobs write where people have been: 1,000 captions that were accepted as they were."""

from collections.abc import Callable

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from catalog import captions, chunks, collections, jobs, recording, workers
from catalog.chunks import Claim
from catalog.recording import Written
from catalog.schema import (
    Caption,
    CaptionState,
    Checkpoint,
    Draft,
    HistoryEntry,
    Item,
    Job,
    JobState,
    Origin,
    Role,
    User,
)

Filled = Callable[..., tuple[int, list[int], int]]
Outcomes = Callable[[Claim], list[Written]]

COUNT = 1000
Row = tuple[int, int, str, str, str, int]


@pytest.fixture
def run(session: Session, filled: Filled, written: Outcomes) -> Callable[..., Job]:
    """A function that captions a collection of 1,000 items, with something happening before each write."""
    collection_id, _, checkpoint_id = filled(session, COUNT)
    worker_id = workers.register(session, name="one", device="cpu", version="0")

    def caption(mode: str, *, meanwhile: Callable[[Claim], None] = lambda held: None) -> Job:
        job = jobs.create_caption_job(
            session,
            collections.get(session, collection_id, viewer=None),
            checkpoint=session.get_one(Checkpoint, checkpoint_id),
            user=None,
            mode=mode,
        )
        while held := chunks.claim(session, worker_id=worker_id):
            meanwhile(held)
            recording.record(session, held, written(held))
        session.refresh(job)
        assert job.state is JobState.DONE
        return job

    return caption


def accept(session: Session, item_ids: list[int]) -> None:
    """Accept the model captions of items as they are."""
    query = select(Caption).where(Caption.item_id.in_(item_ids), Caption.origin == Origin.MODEL)
    for caption in session.scalars(query).all():
        captions.revise(session, caption, version=caption.version, user=None, state=CaptionState.ACCEPTED)


def accepted(session: Session) -> list[Row]:
    query = select(
        Caption.id, Caption.item_id, Caption.text, Caption.state, Caption.origin, Caption.version
    ).where(Caption.origin == Origin.ACCEPTED_UNCHANGED)
    return [tuple(row) for row in session.execute(query.order_by(Caption.id))]


def test_a_thousand_captions_accepted_as_they_were_survive_every_mode(
    session: Session, run: Callable[..., Job]
) -> None:
    run("fill")
    accept(session, list(session.scalars(select(Item.id))))
    before = accepted(session)
    assert len(before) == COUNT
    assert (run("fill").total, run("replace").total) == (0, 0)
    assert accepted(session) == before
    assert run("add").done == COUNT
    assert accepted(session) == before
    assert set(session.scalars(select(Item.review_state))) == {"accepted"}
    # The candidates that were added are no model's to replace either: people have decided on these items.
    assert run("replace").total == 0
    assert session.scalar(select(func.count()).select_from(Caption)) == 2 * COUNT


def test_what_is_accepted_while_the_worker_captions_survives_every_mode(
    session: Session, run: Callable[..., Job]
) -> None:
    def accept_now(held: Claim) -> None:
        accept(session, [item.item_id for item in held.items])

    run("fill")
    job = run("replace", meanwhile=accept_now)
    assert (job.done, job.skipped) == (0, COUNT)
    rows = accepted(session)
    assert len(rows) == COUNT
    assert {(row[3], row[5]) for row in rows} == {(CaptionState.ACCEPTED, 2)}
    assert session.scalar(select(func.count()).select_from(Caption)) == COUNT
    replaced = select(func.count()).where(HistoryEntry.action == "replaced")
    assert session.scalar(replaced) == 0


def test_what_is_written_while_the_worker_captions_is_not_filled_again(
    session: Session, run: Callable[..., Job]
) -> None:
    def write_now(held: Claim) -> None:
        rows = [
            {
                "item_id": item.item_id,
                "text": "Written.",
                "origin": Origin.WRITTEN,
            }
            for item in held.items
        ]
        session.execute(insert(Caption), rows)

    job = run("fill", meanwhile=write_now)
    assert (job.done, job.skipped) == (0, COUNT)
    assert set(session.scalars(select(Caption.text))) == {"Written."}


def test_items_that_were_flagged_drafted_or_rejected_meanwhile_are_left_alone(
    session: Session, run: Callable[..., Job]
) -> None:
    run("fill")
    ada = User(name="ada", role=Role.REVIEWER, password="!", fs_uniquifier="ada")
    session.add(ada)
    session.flush()

    def touch(held: Claim) -> None:
        thirds = [[item.item_id for item in held.items[start::3]] for start in range(3)]
        session.execute(update(Item).where(Item.id.in_(thirds[0])).values(flagged=True))
        drafts = [{"item_id": item_id, "user_id": ada.id, "text": "Perhaps"} for item_id in thirds[1]]
        session.execute(insert(Draft), drafts)
        rejected = update(Caption).where(Caption.item_id.in_(thirds[2]))
        session.execute(rejected.values(state=CaptionState.REJECTED))

    ids = set(session.scalars(select(Caption.id)))
    job = run("replace", meanwhile=touch)
    assert (job.done, job.skipped) == (0, COUNT)
    assert set(session.scalars(select(Caption.id))) == ids


def test_untouched_model_captions_are_replaced(session: Session, run: Callable[..., Job]) -> None:
    first = run("fill")
    second = run("replace")
    assert second.done == COUNT
    assert set(session.scalars(select(Caption.job_id))) == {second.id} != {first.id}
    assert session.scalar(select(func.count()).select_from(Caption)) == COUNT
