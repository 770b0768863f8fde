"""How fast a job goes, from its chunks alone."""

from collections.abc import Callable

import pytest
from sqlalchemy import event, insert, update
from sqlalchemy.orm import Session

from catalog import jobs, pace
from catalog.database import Database
from catalog.pace import Pace
from catalog.schema import Checkpoint, Chunk, ChunkState, Collection, Job, JobKind, JobState

Filled = Callable[..., tuple[int, list[int], int]]
BEGAN = 1000.0


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four items a chunk: making items takes time."""
    monkeypatch.setattr(jobs, "CHUNK_SIZE", 4)


def running(session: Session, filled: Filled, chunks: int, name: str = "Harbour") -> Job:
    """A job of so many whole chunks, at work since BEGAN."""
    collection_id, _, checkpoint_id = filled(session, chunks * jobs.CHUNK_SIZE, name)
    job = jobs.create_caption_job(
        session,
        session.get_one(Collection, collection_id),
        checkpoint=session.get_one(Checkpoint, checkpoint_id),
        user=None,
    )
    job.state, job.running_since = JobState.RUNNING, BEGAN
    session.flush()
    return job


def finish(session: Session, job: Job, number: int, at: float) -> None:
    mine = update(Chunk).where(Chunk.job_id == job.id, Chunk.number == number)
    session.execute(mine.values(state=ChunkState.FINISHED, finished_at=at))
    job.done += jobs.CHUNK_SIZE
    session.flush()


def test_nothing_is_known_before_the_first_chunk(session: Session, filled: Filled) -> None:
    job = running(session, filled, 2)
    assert pace.pace(session, job) == Pace(items_per_second=None, seconds_left=None)
    assert pace.in_words(pace.pace(session, job)) == ""


def test_the_first_chunk_counts_from_when_the_job_began_to_run(session: Session, filled: Filled) -> None:
    job = running(session, filled, 3)
    finish(session, job, 0, BEGAN + 8.0)
    assert pace.pace(session, job) == Pace(items_per_second=0.5, seconds_left=16.0)
    assert pace.in_words(pace.pace(session, job)) == "0.50 photos/s, less than a minute left"


def test_only_the_latest_twenty_chunks_count(session: Session, filled: Filled) -> None:
    job = running(session, filled, 25)
    for number in range(3):  # slow at first
        finish(session, job, number, BEGAN + 100.0 * (number + 1))
    for number in range(3, 23):
        finish(session, job, number, BEGAN + 300.0 + 4.0 * (number - 2))
    assert pace.pace(session, job) == Pace(items_per_second=1.0, seconds_left=8.0)


def test_what_was_done_before_a_pause_does_not_count(session: Session, filled: Filled) -> None:
    job = running(session, filled, 4)
    finish(session, job, 0, BEGAN + 64.0)
    job.running_since = BEGAN + 5000.0
    session.flush()
    assert pace.pace(session, job).items_per_second is None
    finish(session, job, 1, BEGAN + 5004.0)
    assert pace.pace(session, job) == Pace(items_per_second=1.0, seconds_left=8.0)


@pytest.mark.parametrize("state", [state for state in JobState if state is not JobState.RUNNING])
def test_a_job_that_does_not_run_has_no_pace(session: Session, filled: Filled, state: JobState) -> None:
    job = running(session, filled, 2)
    finish(session, job, 0, BEGAN + 8.0)
    job.state = state
    assert pace.pace(session, job) == pace.UNKNOWN


def test_a_clock_that_was_set_back_gives_no_pace(session: Session, filled: Filled) -> None:
    job = running(session, filled, 2)
    finish(session, job, 0, BEGAN - 30.0)
    finish(session, job, 1, BEGAN)
    assert pace.pace(session, job) == pace.UNKNOWN


def test_many_jobs_take_one_statement_however_large_they_are(database: Database, filled: Filled) -> None:
    with database.writing() as session:
        job = running(session, filled, 30)
        for number in range(29):
            finish(session, job, number, BEGAN + 2.0 * (number + 1))
        other = running(session, filled, 1, "Lake")
        options = {"mode": "fill"}
        alike = {
            "kind": JobKind.CAPTION,
            "state": JobState.RUNNING,
            "running_since": BEGAN,
            "options": options,
        }
        session.execute(insert(Job), [alike for _ in range(498)])
    statements: list[str] = []
    with database.reading() as session:
        found = jobs.recent(session, viewer=None, limit=500).rows
        event.listen(database.engine, "before_cursor_execute", lambda *told: statements.append(told[2]))
        paces = pace.paces(session, found)
    assert len(statements) == 1
    assert len(paces) == 500
    assert paces[job.id] == Pace(items_per_second=2.0, seconds_left=2.0)
    assert paces[other.id] == pace.UNKNOWN


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (29, "less than a minute left"),
        (30, "about 1 min left"),
        (270, "about 5 min left"),
        (5300, "about 88 min left"),
        (7300, "about 2 h left"),
        (200_000, "about 2 days left"),
    ],
)
def test_the_time_left_is_told_as_people_say_it(seconds: float, words: str) -> None:
    assert pace.left_in_words(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(120, "about 2 min of work"), (7200, "about 2 h of work"), (360_000, "about 100 h of work")],
)
def test_the_work_left_is_told_in_hours(seconds: float, words: str) -> None:
    assert pace.left_in_words(seconds, work=True) == words


@pytest.mark.parametrize(
    ("rate", "words"), [(0.254, "0.25 photos/s"), (3.14, "3.1 photos/s"), (1234.5, "1,234 photos/s")]
)
def test_rates_are_told_with_two_or_three_figures(rate: float, words: str) -> None:
    assert pace.rate_in_words(rate) == words
