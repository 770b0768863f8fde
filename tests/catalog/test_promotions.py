"""Promotion and rollback: one active checkpoint at any time, whoever changes it and however many at once."""

import threading
import time
from collections.abc import Callable

import pytest
from sqlalchemy import event, func, select, update

from catalog import chunks, collections, jobs, promotions, recording, workers
from catalog.chunks import Claim
from catalog.database import Database
from catalog.errors import CatalogError, Conflict, InvalidInput, NotAllowed
from catalog.recording import Written
from catalog.schema import (
    Caption,
    Checkpoint,
    CheckpointState,
    Collection,
    Comparison,
    Dataset,
    DatasetKind,
    Job,
    JobEvent,
    JobKind,
    Promotion,
    Role,
    User,
)

Compare = Callable[..., Comparison]
Filled = Callable[..., tuple[int, list[int], int]]
Freeze = Callable[..., Dataset]
NewUser = Callable[..., User]
Train = Callable[..., Checkpoint]


@pytest.fixture
def ids(database: Database, filled: Filled, trained: Train) -> list[int]:
    """The active checkpoint, and three candidates."""
    with database.writing() as session:
        active = filled(session, 3)[2]
        return [active, *(trained(session, f"boats-{number}").id for number in range(1, 4))]


@pytest.fixture
def better(database: Database, ids: list[int], frozen: Freeze, trained: Train, compared: Compare) -> int:
    """A candidate that the gate calls better than the active checkpoint."""
    with database.writing() as session:
        harbour = session.scalars(select(Collection)).one()
        golden = frozen(session, harbour.id, "Golden")
        learned = frozen(session, harbour.id, "Boats", kind=DatasetKind.CURATED)
        candidate = trained(session, "boats-9", learned)
        compared(session, candidate, session.get_one(Checkpoint, ids[0]), golden)
        return candidate.id


def promote(database: Database, checkpoint_id: int, reason: str | None = "a person looked") -> Promotion:
    with database.writing() as session:
        checkpoint = session.get_one(Checkpoint, checkpoint_id)
        return promotions.promote(session, checkpoint, user=None, reason=reason)


def roll_back(database: Database) -> Promotion:
    with database.writing() as session:
        return promotions.roll_back(session, user=None)


def active(database: Database) -> list[int]:
    with database.reading() as session:
        query = select(Checkpoint.id).where(Checkpoint.state == CheckpointState.ACTIVE)
        return list(session.scalars(query))


def test_what_the_gate_calls_better_is_promoted_with_its_verdict(
    database: Database, ids: list[int], better: int
) -> None:
    promotion = promote(database, better, reason=None)
    assert active(database) == [better]
    assert (promotion.previous_id, promotion.reason) == (ids[0], None)
    assert promotion.verdict["answer"] == "better"
    assert "on 424 photos of Golden@1" in promotion.verdict["sentences"][0]
    with database.reading() as session:
        assert session.get_one(Checkpoint, ids[0]).state is CheckpointState.RETIRED


def test_anything_else_takes_a_reason(database: Database, ids: list[int]) -> None:
    for reason in (None, "", "  \n"):
        with pytest.raises(Conflict, match=r"cannot tell.*give a reason to promote boats-1 all the same"):
            promote(database, ids[1], reason)
    assert active(database) == [ids[0]]
    promotion = promote(database, ids[1], " The old one is wrong about masts.\n")
    assert (promotion.reason, promotion.verdict["answer"]) == (
        "The old one is wrong about masts.",
        "cannot tell",
    )
    with pytest.raises(Conflict, match="active checkpoint already"):
        promote(database, ids[1])
    with pytest.raises(InvalidInput, match="1,001 characters"):
        promote(database, ids[2], "x" * 1001)


def test_only_admins_promote_and_roll_back(database: Database, ids: list[int], new_user: NewUser) -> None:
    with database.writing() as session:
        ada, grace = new_user(session, "ada", Role.ADMIN), new_user(session, "grace")
        checkpoint = session.get_one(Checkpoint, ids[1])
        with pytest.raises(NotAllowed, match="only admins"):
            promotions.promote(session, checkpoint, user=grace, reason="I like it")
        promotions.promote(session, checkpoint, user=ada, reason="I like it")
        with pytest.raises(NotAllowed, match="only admins"):
            promotions.roll_back(session, user=grace)
        promotions.roll_back(session, user=ada)
        told = promotions.history(session)
    assert [(one.checkpoint, one.previous, one.who) for one in told.rows] == [
        ("starter for Harbour", "boats-1", "ada"),
        ("boats-1", "starter for Harbour", "ada"),
    ]


def test_rolling_back_goes_further_back_each_time_and_never_forward(
    database: Database, ids: list[int]
) -> None:
    for checkpoint_id in ids[1:]:
        promote(database, checkpoint_id)
    assert roll_back(database).checkpoint_id == ids[2]
    assert roll_back(database).checkpoint_id == ids[1]
    promote(database, ids[3])
    assert [roll_back(database).checkpoint_id for _ in range(2)] == [ids[1], ids[0]]
    with pytest.raises(Conflict, match="no promotion is left to take back"):
        roll_back(database)
    assert active(database) == [ids[0]]
    with database.reading() as session:
        first = promotions.history(session, limit=5)
        rest = promotions.history(session, after=first.after, limit=5)
    assert (len(first.rows), len(rest.rows), rest.after) == (5, 3, None)


def test_the_way_back_is_told_before_anybody_goes_it(database: Database, ids: list[int]) -> None:
    with database.reading() as session:
        assert promotions.way_back(session) is None
    promote(database, ids[1])
    with database.reading() as session:
        back = promotions.way_back(session)
    assert back
    assert roll_back(database).checkpoint_id == back.id
    with database.reading() as session:
        assert promotions.way_back(session) is None


def test_a_rollback_takes_a_moment(database: Database, ids: list[int]) -> None:
    promote(database, ids[1])
    began = time.perf_counter()
    roll_back(database)
    assert time.perf_counter() - began < 2
    assert active(database) == [ids[0]]


def test_of_all_the_checkpoints_that_are_locked_only_those_that_change_are_loaded(
    database: Database, ids: list[int]
) -> None:
    loaded: list[Checkpoint] = []

    def note(checkpoint: Checkpoint, context: object) -> None:
        loaded.append(checkpoint)

    event.listen(Checkpoint, "load", note)
    try:
        promote(database, ids[1])
        roll_back(database)
    finally:
        event.remove(Checkpoint, "load", note)
    assert {one.id for one in loaded} == {ids[0], ids[1]}


def test_what_was_read_before_somebody_rolled_back_is_promoted_all_the_same(
    database: Database, ids: list[int]
) -> None:
    promote(database, ids[1])
    with database.writing_session() as session:
        read = session.get_one(Checkpoint, ids[1])
        # As another process that came first leaves it.
        for checkpoint_id, state in ((ids[1], CheckpointState.RETIRED), (ids[0], CheckpointState.ACTIVE)):
            session.connection().execute(
                update(Checkpoint).where(Checkpoint.id == checkpoint_id).values(state=state)
            )
        assert read.state is CheckpointState.ACTIVE
        promotions.promote(session, read, user=None, reason="a person looked")
        states = select(Checkpoint.id).where(Checkpoint.state == CheckpointState.ACTIVE)
        assert session.scalars(states).all() == [ids[1]]


def test_promotions_and_rollbacks_at_once_leave_one_active(database: Database, ids: list[int]) -> None:
    start, refused = threading.Barrier(8), []

    def change(number: int) -> None:
        start.wait()
        for turn in range(4):
            try:
                if (number + turn) % 4:
                    promote(database, ids[(number + turn) % 4])
                else:
                    roll_back(database)
            except CatalogError as error:
                refused.append(str(error))

    threads = [threading.Thread(target=change, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    now = active(database)
    with database.reading() as session:
        rows = session.scalars(select(Promotion).order_by(Promotion.id)).all()
    assert len(now) == 1
    assert now == [rows[-1].checkpoint_id]
    assert len(rows) + len(refused) == 32
    # Each took the place of the one before it, so none was lost between two others.
    places = [ids[0], *(row.checkpoint_id for row in rows)]
    assert [row.previous_id for row in rows] == places[:-1]
    assert {text for text in refused if "already" not in text and "left to take back" not in text} == set()


def test_jobs_keep_the_checkpoint_that_they_were_created_with(
    database: Database, ids: list[int], written: Callable[[Claim], list[Written]]
) -> None:
    with database.writing() as session:
        harbour, starter = session.scalars(select(Collection)).one(), session.get_one(Checkpoint, ids[0])
        before = jobs.create_caption_job(session, harbour, checkpoint=starter, user=None).id
        worker_id = workers.register(session, name="one", device="cpu", version="0")
        held = chunks.claim(session, worker_id=worker_id)
        assert held
    promote(database, ids[1])
    with database.writing() as session:
        recording.record(session, held, written(held))
        wrote = session.scalars(select(Caption.checkpoint_id).distinct()).all()
        assert (wrote, session.get_one(Job, before).checkpoint_id) == ([ids[0]], ids[0])


@pytest.fixture
def train_job(database: Database, ids: list[int]) -> int:
    with database.writing() as session:
        job = Job(kind=JobKind.TRAIN, checkpoint_id=ids[0])
        session.add(job)
        session.flush()
        return job.id


def promote_if_better(database: Database, checkpoint_id: int, job_id: int) -> Promotion | None:
    with database.writing() as session:
        checkpoint, job = session.get_one(Checkpoint, checkpoint_id), session.get_one(Job, job_id)
        return promotions.promote_if_better(session, checkpoint, job)


def test_a_train_job_promotes_what_is_better_once(database: Database, better: int, train_job: int) -> None:
    promotion = promote_if_better(database, better, train_job)
    assert promotion
    assert (promotion.job_id, promotion.verdict["answer"]) == (train_job, "better")
    assert promote_if_better(database, better, train_job) is None
    assert active(database) == [better]
    with database.reading() as session:
        told = session.scalars(select(JobEvent).where(JobEvent.job_id == train_job)).one()
    assert told.text.startswith("boats-9 is promoted: better: CIDEr 0.412 to 0.468")


def test_the_log_of_a_train_job_names_no_golden_set_of_another_collection(
    database: Database, ids: list[int], better: int, train_job: int, frozen: Freeze, compared: Compare
) -> None:
    with database.writing() as session:
        session.get_one(Job, train_job).collection_id = session.scalars(select(Collection.id)).one()
        secret = frozen(session, collections.create(session, name="Vault", owner=None).id, "Secret")
        candidate, starter = (session.get_one(Checkpoint, one) for one in (better, ids[0]))
        compared(session, candidate, starter, secret, before=0.5, after=0.3)
    assert promote_if_better(database, better, train_job) is None
    with database.writing() as session:
        refused = session.scalars(select(JobEvent.text).where(JobEvent.job_id == train_job)).one()
        compared(session, candidate, starter, secret, before=0.5, after=0.52)
    promotion = promote_if_better(database, better, train_job)
    with database.reading() as session:
        query = select(JobEvent.text).where(JobEvent.job_id == train_job, JobEvent.action == "promoted")
        told = session.scalars(query).one()
    for text in (refused, told):
        assert "Golden@1" in text
        assert "424 photos of a golden set of another collection" in text
        assert "Secret" not in text
    assert promotion
    assert any("Secret@1" in sentence for sentence in promotion.verdict["sentences"])


def test_a_train_job_leaves_what_is_not_better_a_candidate_and_says_why(
    database: Database, ids: list[int], train_job: int
) -> None:
    for _ in range(2):
        assert promote_if_better(database, ids[1], train_job) is None
    assert active(database) == [ids[0]]
    with database.reading() as session:
        told = session.scalars(select(JobEvent).where(JobEvent.job_id == train_job)).one()
    assert told.text.startswith("boats-1 is not promoted: cannot tell: nobody here knows which photos")


def test_a_train_job_of_somebody_who_is_no_admin_promotes_nothing(
    database: Database, better: int, train_job: int, new_user: NewUser
) -> None:
    with database.writing() as session:
        session.get_one(Job, train_job).user_id = new_user(session, "grace").id
    assert promote_if_better(database, better, train_job) is None
    with database.reading() as session:
        told = session.scalars(select(JobEvent).where(JobEvent.job_id == train_job)).one()
        assert session.scalar(select(func.count()).select_from(Promotion)) == 0
    assert "grace is no admin" in told.text
