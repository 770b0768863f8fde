"""People and workers at the same jobs in the same moment, on a database with many writers."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from psycopg.errors import DeadlockDetected
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from catalog import chunks, job_control, jobs, recording, workers
from catalog.chunks import Claim
from catalog.database import Database
from catalog.errors import CatalogError, NotFound
from catalog.recording import Unreadable, Written
from catalog.schema import (
    Caption,
    Checkpoint,
    Chunk,
    ChunkState,
    Collection,
    Job,
    JobItem,
    JobItemState,
    JobState,
)

Filled = Callable[..., tuple[int, list[int], int]]
Outcomes = Callable[[Claim], list[Written]]

SECONDS = 8.0
ITEMS = 200
WORKERS = 4
PEOPLE = 3
ORDERS = ("pause", "resume", "resume", "retry_failed", "retry_failed", "cancel", "all")


@pytest.fixture
def postgresql(empty_postgresql: str) -> Iterator[Database]:
    database = Database(empty_postgresql)
    yield database
    database.close()


class Crowd:
    """Threads that work at jobs and steer them until time is up; what went wrong is kept."""

    def __init__(self, database: Database, job_ids: list[int], written: Outcomes) -> None:
        self.database = database
        self.job_ids = job_ids
        self.written = written
        self.end = time.monotonic() + SECONDS
        self.wrong: list[DBAPIError] = []
        self.acts: Counter[str] = Counter()

    def run(self, worker_ids: list[int]) -> None:
        threads = [threading.Thread(target=self._work, args=(worker_id,)) for worker_id in worker_ids]
        threads += [threading.Thread(target=self._steer) for _ in range(PEOPLE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self, worker_id: int) -> None:
        while time.monotonic() < self.end:
            self._try("work", lambda: self._claim_and_finish(worker_id))

    def _claim_and_finish(self, worker_id: int) -> None:
        with self.database.writing() as session:
            held = chunks.claim(session, worker_id=worker_id)
        if held:
            self._finish(held, worker_id)
        else:
            time.sleep(0.02)
            raise NotFound("nothing waits")

    def _finish(self, held: Claim, worker_id: int) -> None:
        luck = random.random()
        outcomes = [
            one if random.random() < 0.8 else Unreadable(one.item_id, "gone") for one in self.written(held)
        ]
        with self.database.writing() as session:
            if luck < 0.05:
                recording.fail_job(session, held, "the checkpoint is gone")
            elif luck < 0.15:
                workers.release_all(session, worker_id)
            elif luck < 0.25:
                workers.end_leases(session, worker_id)
            elif luck < 0.3:
                workers.release_all(session, worker_id)
                job_control.pause_all(session, "full")
            else:
                recording.record(session, held, outcomes)

    def _steer(self) -> None:
        while time.monotonic() < self.end:
            act = random.choice(
                ["pause", "resume", "resume", "retry_failed", "retry_failed", "cancel", "all"]
            )
            if act != "cancel" or random.random() < 0.1:
                self._try(act, lambda act=act: self._order(act))
            time.sleep(random.uniform(0, 0.05))

    def _order(self, act: str) -> None:
        with self.database.writing() as session:
            if act == "all":
                job_control.resume_all(session)
            else:
                job = jobs.get(session, random.choice(self.job_ids), viewer=None)
                getattr(job_control, act)(session, job, user=None)

    def _try(self, what: str, act: Callable[[], None]) -> None:
        try:
            act()
        except CatalogError:
            self.acts[f"{what} refused"] += 1
        except DBAPIError as error:
            # A deadlock ends one of two, who asks again: workers insist, and people get a 503.
            if isinstance(error.orig, DeadlockDetected):
                self.acts["deadlocks"] += 1
            else:
                self.wrong.append(error)
        else:
            self.acts[what] += 1


def test_whatever_people_and_workers_do_in_the_same_moment_the_counters_stay_true(
    postgresql: Database, filled: Filled, written: Outcomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (jobs, job_control):
        monkeypatch.setattr(module, "CHUNK_SIZE", 4)
    with postgresql.writing() as session:
        collection_id, _, checkpoint_id = filled(session, ITEMS)
        worker_ids = [
            workers.register(session, name=f"worker {number}", device="cpu", version="0")
            for number in range(WORKERS)
        ]
        collection, checkpoint = (
            session.get_one(Collection, collection_id),
            session.get_one(Checkpoint, checkpoint_id),
        )
        job_ids = [
            jobs.create_caption_job(session, collection, checkpoint=checkpoint, user=None, mode=mode).id
            for mode in ("add", "replace", "add", "add")
        ]
    crowd = Crowd(postgresql, job_ids, written)
    crowd.run(worker_ids)
    assert crowd.wrong == []
    assert crowd.acts["work"] > 10
    assert crowd.acts["retry_failed"] > 0
    with postgresql.reading() as session:
        for job_id in job_ids:
            agree(session.get_one(Job, job_id), postgresql)


def test_what_is_queued_again_while_the_job_is_being_cancelled_is_cancelled_too(
    postgresql: Database, filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "CHUNK_SIZE", 4)
    with postgresql.writing() as session:
        collection_id, _, checkpoint_id = filled(session, 6)
        job_id = jobs.create_caption_job(
            session,
            session.get_one(Collection, collection_id),
            checkpoint=session.get_one(Checkpoint, checkpoint_id),
            user=None,
        ).id
        worker_id = workers.register(session, name="one", device="cpu", version="0")
        held = chunks.claim(session, worker_id=worker_id)
        assert held
        recording.record(session, held, [Unreadable(item.item_id, "gone") for item in held.items])

    def cancel() -> None:
        with postgresql.writing() as session:
            job_control.cancel(session, session.get_one(Job, job_id), user=None)

    canceller = threading.Thread(target=cancel)
    with postgresql.writing() as session:
        job = session.get_one(Job, job_id)
        assert job_control.retry_failed(session, job, user=None) == 4
        canceller.start()
        # It has looked for what waits, found nothing, and stands at the job that is held here.
        canceller.join(timeout=1)
        assert canceller.is_alive()
    canceller.join()
    with postgresql.reading() as session:
        job = session.get_one(Job, job_id)
        assert job.state is JobState.CANCELLED
        agree(job, postgresql)


def agree(job: Job, database: Database) -> None:
    """A job's counters are those of its items, no item is left behind, and no caption is doubled."""
    with database.reading() as session:
        states = select(JobItem.state, func.count()).where(JobItem.job_id == job.id).group_by(JobItem.state)
        counts = dict(session.execute(states).all())
        assert (job.done, job.failed, job.skipped) == tuple(
            counts.get(state, 0) for state in (JobItemState.DONE, JobItemState.FAILED, JobItemState.SKIPPED)
        )
        left = (
            select(func.count())
            .select_from(JobItem)
            .join(Chunk, (Chunk.job_id == JobItem.job_id) & (Chunk.number == JobItem.chunk_number))
        )
        behind = (JobItem.state == JobItemState.QUEUED, Chunk.state == ChunkState.FINISHED)
        assert session.scalar(left.where(JobItem.job_id == job.id, *behind)) == 0
        if job.state in (JobState.DONE, JobState.CANCELLED, JobState.FAILED):
            assert JobItemState.QUEUED not in counts
        doubled = select(Caption.item_id).where(Caption.job_id == job.id).group_by(Caption.item_id)
        assert session.scalars(doubled.having(func.count() > 1)).all() == []
