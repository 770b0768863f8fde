"""The job machine against a model of it: whatever people and workers do, in whatever order.

The model is a few dicts of what each job, chunk and item should be. It says which chunk a claim gets, whether
a write is refused as stale, and what everything looks like after it; the rows have to agree after each step.
"""

import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from catalog import chunks, collections, job_control, jobs, recording, workers
from catalog.chunks import POISON_AFTER, Claim
from catalog.database import Database
from catalog.errors import Conflict, StaleToken
from catalog.recording import Unreadable, Written
from catalog.schema import Caption, Checkpoint, Chunk, ChunkState, Image, Item, Job, JobItem, JobState

ITEMS = 5
CHUNK_SIZE = 2
WORKERS = 3
MIGRATED: Path


@dataclass
class ModelItem:
    """An item of a job. `hits` counts the times that it was found in hand."""

    state: str = "queued"
    hits: int = 0
    in_hand: bool = False


@dataclass
class ModelChunk:
    """A chunk of a job. `holder` is the worker whose lease has not run out; `lapsed`, that one has."""

    items: list[int]
    state: str = "waiting"
    token: int = 0
    holder: int | None = None
    lapsed: bool = False
    one_by_one: bool = False


@dataclass
class ModelJob:
    """A job, its items and its chunks."""

    mode: str
    priority: int
    state: str = "queued"
    by_system: bool = False
    turn: int = 0
    items: dict[int, ModelItem] = field(default_factory=dict)
    chunks: list[ModelChunk] = field(default_factory=list)

    def end_if_complete(self) -> None:
        if self.state in ("queued", "running", "paused") and all(c.state == "finished" for c in self.chunks):
            self.state, self.by_system = "done", False


class JobMachine(RuleBasedStateMachine):
    """Jobs on one collection of a SQLite database."""

    @initialize()
    def begin(self) -> None:
        self.folder = TemporaryDirectory()
        path = Path(self.folder.name) / "recaption.sqlite"
        shutil.copy(MIGRATED, path)
        self.database = Database(f"sqlite:///{path}")
        self.jobs: dict[int, ModelJob] = {}
        self.held: list[tuple[Claim, int]] = []
        self.captioned: set[int] = set()
        with self.database.writing() as session:
            collection = collections.create(session, name="Harbour", owner=None)
            image = Image(sha256="0" * 64, rendition="0" * 64, format="JPEG", bytes=10, width=96, height=64)
            checkpoint = Checkpoint(
                name="starter", weights_sha256="0" * 64, description_sha256="1" * 64, description={}
            )
            session.add_all([image, checkpoint])
            session.flush()
            items = [
                Item(collection_id=collection.id, image_id=image.id, path=f"{number}.jpg", position=number)
                for number in range(ITEMS)
            ]
            session.add_all(items)
            session.flush()
            self.collection_id, self.checkpoint_id = collection.id, checkpoint.id
            self.item_ids = [item.id for item in items]
            self.worker_ids = [
                workers.register(session, name=f"worker {number}", device="cpu", version="0")
                for number in range(WORKERS)
            ]

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.close()
            self.folder.cleanup()

    # What people do.

    @precondition(lambda self: len(self.jobs) < 4)
    @rule(mode=st.sampled_from(["fill", "add"]), priority=st.sampled_from([0, 0, 5]))
    def create(self, mode: str, priority: int) -> None:
        with self.database.writing() as session:
            job = jobs.create_caption_job(
                session,
                session.get_one(collections.Collection, self.collection_id),
                checkpoint=session.get_one(Checkpoint, self.checkpoint_id),
                user=None,
                mode=mode,
                priority=priority,
            )
        wanted = [one for one in self.item_ids if mode == "add" or one not in self.captioned]
        model = ModelJob(mode, priority, items={item_id: ModelItem() for item_id in wanted})
        slices = range(0, len(wanted), CHUNK_SIZE)
        model.chunks = [ModelChunk(wanted[start : start + CHUNK_SIZE]) for start in slices]
        model.end_if_complete()
        self.jobs[job.id] = model

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), act=st.sampled_from(["pause", "resume", "cancel", "retry_failed"]))
    def control(self, data: st.DataObject, act: str) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.jobs)))
        allowed = self._controlled(self.jobs[job_id], act)
        try:
            with self.database.writing() as session:
                getattr(job_control, act)(session, session.get_one(Job, job_id), user=None)
        except Conflict:
            assert not allowed, f"{act} of {self.jobs[job_id]} was refused"
        else:
            assert allowed, f"{act} of {self.jobs[job_id]} was not refused"

    @rule(pausing=st.booleans())
    def room(self, pausing: bool) -> None:
        """The database's disk is full, or has room again."""
        with self.database.writing() as session:
            if pausing:
                job_control.pause_all(session, "full")
            else:
                job_control.resume_all(session)
        for job in self.jobs.values():
            if pausing and job.state in ("queued", "running"):
                job.state, job.by_system = "paused", True
            elif not pausing and job.state == "paused" and job.by_system:
                job.state, job.by_system = "queued", False

    # What workers do.

    @rule(number=st.integers(0, WORKERS - 1))
    def claim(self, number: int) -> None:
        with self.database.writing() as session:
            held = chunks.claim(session, worker_id=self.worker_ids[number])
        expected = self._claimed(number)
        if expected is None:
            assert held is None
            return
        job_id, place = expected
        chunk, job = self.jobs[job_id].chunks[place], self.jobs[job_id]
        assert held
        assert held.job_id == job_id
        assert (held.token, held.one_by_one) == (chunk.token, chunk.one_by_one)
        left = [one for one in chunk.items if job.items[one].state == "queued"]
        assert [item.item_id for item in held.items] == sorted(left, key=lambda one: job.items[one].hits)
        self.held.append((held, place))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), unreadable=st.booleans())
    def finish(self, data: st.DataObject, unreadable: bool) -> None:
        """Record a whole claim, or for one of its items; it may be long out of date."""
        held, place = data.draw(st.sampled_from(self.held))
        some = held.items[: data.draw(st.integers(1, len(held.items)))] if held.items else ()
        outcomes = [_outcome(item.item_id, unreadable and item is some[-1]) for item in some]
        chunk = self._proved(held, place)
        try:
            with self.database.writing() as session:
                recording.record(session, held, outcomes)
        except StaleToken:
            assert chunk is None
            return
        assert chunk
        job = self.jobs[held.job_id]
        chunk.lapsed = False
        for one in outcomes:
            self._settle(job, one)
        if not any(job.items[one].state == "queued" for one in chunk.items):
            chunk.state, chunk.holder, chunk.lapsed = "finished", None, False
        job.end_if_complete()

    @precondition(lambda self: self.held)
    @rule(data=st.data(), act=st.sampled_from(["renew", "take"]))
    def go_on(self, data: st.DataObject, act: str) -> None:
        held, place = data.draw(st.sampled_from(self.held))
        chunk = self._proved(held, place)
        try:
            with self.database.writing() as session:
                if act == "renew":
                    chunks.renew(session, held)
                elif held.items:
                    chunks.take_in_hand(session, held, held.items[0].item_id)
        except StaleToken:
            assert chunk is None
            return
        if chunk is None:
            assert act == "take"
            assert not held.items
            return
        chunk.lapsed = chunk.lapsed and act == "take" and not held.items
        if act == "take" and held.items:
            self.jobs[held.job_id].items[held.items[0].item_id].in_hand = True

    @rule(number=st.integers(0, WORKERS - 1))
    def give_back(self, number: int) -> None:
        with self.database.writing() as session:
            workers.release_all(session, self.worker_ids[number])
        for job in self.jobs.values():
            for chunk in job.chunks:
                if chunk.state == "claimed" and chunk.holder == number:
                    chunk.state, chunk.holder, chunk.lapsed, chunk.token = (
                        "waiting",
                        None,
                        False,
                        chunk.token + 1,
                    )
                    for one in chunk.items:
                        job.items[one].in_hand = False

    @rule(number=st.integers(0, WORKERS - 1))
    def die(self, number: int) -> None:
        with self.database.writing() as session:
            workers.end_leases(session, self.worker_ids[number])
        for job in self.jobs.values():
            for chunk in job.chunks:
                chunk.lapsed = chunk.lapsed or (chunk.state == "claimed" and chunk.holder == number)

    # What has to be true at any time.

    @invariant()
    def rows_agree_with_the_model(self) -> None:
        if not hasattr(self, "jobs"):
            return
        with self.database.reading() as session:
            for job_id, model in self.jobs.items():
                self._agree(session, session.get_one(Job, job_id), model)

    def _agree(self, session: Session, job: Job, model: ModelJob) -> None:
        assert (job.state, job.paused_because is not None) == (model.state, model.by_system)
        query = select(JobItem).where(JobItem.job_id == job.id)
        found = {
            row.item_id: ModelItem(row.state, row.found_in_hand, row.in_hand)
            for row in session.scalars(query)
        }
        assert found == model.items
        counts = Counter(item.state for item in model.items.values())
        assert (job.total, job.done, job.failed, job.skipped) == (
            len(model.items),
            counts["done"],
            counts["failed"],
            counts["skipped"],
        )
        rows = session.scalars(select(Chunk).where(Chunk.job_id == job.id).order_by(Chunk.number)).all()
        assert [(row.state, row.token) for row in rows] == [(c.state, c.token) for c in model.chunks]
        written = select(Caption.item_id, func.count()).where(Caption.job_id == job.id)
        assert dict(session.execute(written.group_by(Caption.item_id)).all()) == {
            item_id: 1 for item_id, item in model.items.items() if item.state == "done"
        }
        if job.state in (JobState.DONE, JobState.CANCELLED):
            assert {row.state for row in rows} <= {ChunkState.FINISHED}
            assert "queued" not in counts

    # The model's side of the rules.

    def _controlled(self, job: ModelJob, act: str) -> bool:
        """Do to the model what a person does; whether it is allowed."""
        if act == "pause" and (job.state in ("queued", "running") or job.by_system):
            job.state, job.by_system = "paused", False
        elif act == "resume" and job.state == "paused":
            job.state, job.by_system = "queued", False
        elif act == "cancel" and job.state in ("queued", "running", "paused"):
            job.state, job.by_system = "cancelled", False
            for item in job.items.values():
                if item.state == "queued":
                    item.state, item.in_hand = "cancelled", False
            for chunk in job.chunks:
                if chunk.state != "finished":
                    chunk.state, chunk.token, chunk.lapsed = "finished", chunk.token + 1, False
        elif act == "retry_failed" and job.state != "cancelled" and self._failed(job):
            again = self._failed(job)
            for item_id in again:
                job.items[item_id] = ModelItem()
                for chunk in job.chunks:
                    if item_id in chunk.items:
                        chunk.items.remove(item_id)
            slices = range(0, len(again), CHUNK_SIZE)
            job.chunks += [ModelChunk(again[start : start + CHUNK_SIZE]) for start in slices]
            job.state = "queued" if job.state == "done" else job.state
        else:
            return False
        return True

    def _failed(self, job: ModelJob) -> list[int]:
        return sorted(item_id for item_id, item in job.items.items() if item.state == "failed")

    def _claimed(self, number: int) -> tuple[int, int] | None:
        """Claim in the model: the job and the place of the chunk that is next; None when nothing waits."""
        waiting = [
            (-job.priority, job.turn, job_id)
            for job_id, job in self.jobs.items()
            if job.state in ("queued", "running") and any(map(_free, job.chunks))
        ]
        if not waiting:
            return None
        job_id = min(waiting)[2]
        job = self.jobs[job_id]
        place = min(
            (i for i, one in enumerate(job.chunks) if _free(one)), key=lambda i: (not job.chunks[i].lapsed, i)
        )
        chunk = job.chunks[place]
        if chunk.lapsed:
            chunk.one_by_one = True
            for item_id in chunk.items:
                self._charge(job.items[item_id])
        chunk.state, chunk.holder, chunk.lapsed = "claimed", number, False
        chunk.token += 1
        active = [one.turn for one in self.jobs.values() if one.state in ("queued", "running")]
        job.turn, job.state = max(active) + 1, "running"
        return job_id, place

    def _charge(self, item: ModelItem) -> None:
        if item.in_hand:
            item.in_hand, item.hits = False, item.hits + 1
            if item.hits >= POISON_AFTER:
                item.state = "failed"

    def _proved(self, held: Claim, place: int) -> ModelChunk | None:
        """The chunk if the claim's token is still the newest; writing to it renews the lease."""
        chunk = self.jobs[held.job_id].chunks[place]
        if chunk.token != held.token or chunk.state != "claimed":
            return None
        return chunk

    def _settle(self, job: ModelJob, outcome: Written | Unreadable) -> None:
        item = job.items[outcome.item_id]
        if item.state != "queued":
            return
        item.in_hand = False
        if isinstance(outcome, Unreadable):
            item.state = "failed"
        elif job.mode == "fill" and outcome.item_id in self.captioned:
            item.state = "skipped"
        else:
            item.state = "done"
            self.captioned.add(outcome.item_id)


def _free(chunk: ModelChunk) -> bool:
    return chunk.state == "waiting" or chunk.lapsed


def _outcome(item_id: int, unreadable: bool) -> Written | Unreadable:
    if unreadable:
        return Unreadable(item_id, "the picture is gone")
    return Written(item_id, "A boat.", -0.5, tokens=["a", "boat"], token_probabilities=[0.9, 0.5])


@pytest.fixture
def small_chunks(migrated_sqlite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    global MIGRATED
    MIGRATED = migrated_sqlite
    monkeypatch.setattr(jobs, "CHUNK_SIZE", CHUNK_SIZE)
    monkeypatch.setattr(job_control, "CHUNK_SIZE", CHUNK_SIZE)


@pytest.mark.timeout(900)  # what fails is made small first
@pytest.mark.usefixtures("small_chunks")
def test_whatever_people_and_workers_do_the_rows_agree_with_the_model() -> None:
    run_machine(
        JobMachine,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
