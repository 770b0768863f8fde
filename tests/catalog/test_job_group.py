"""The commands on jobs, beside workers that the tests play."""

import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select, update

from catalog import chunks, job_control, job_events, jobs, recording, workers
from catalog.chunks import Claim
from catalog.database import Database
from catalog.job_group import job_group
from catalog.recording import Outcome, Unreadable, Written
from catalog.schema import Job, JobState, Severity, Worker

Filled = Callable[..., tuple[int, list[int], int]]
Outcomes = Callable[[Claim], list[Written]]
Run = Callable[..., Result]
VERBS = ("list", "show", "pause", "resume", "cancel", "retry", "caption")


@pytest.fixture
def run(database: Database, tmp_path: Path) -> Run:
    """A function that runs a command on jobs."""
    url = database.url.render_as_string(hide_password=False)
    env = {"RECAPTION_HOME": str(tmp_path / "home"), "RECAPTION_DATABASE_URL": url}
    return lambda *arguments: CliRunner().invoke(job_group, [str(one) for one in arguments], env=env)


@pytest.fixture
def job_id(database: Database, filled: Filled, run: Run) -> int:
    """A job on three items of Harbour that nobody has begun."""
    with database.writing() as session:
        filled(session, 3)
    said = run("caption", "Harbour")
    assert "captions 3 items" in said.stdout
    return int(said.stdout.split()[1])


def work(database: Database, outcomes: Callable[[Claim], Sequence[Outcome]]) -> None:
    """Do a chunk as a worker would."""
    with database.writing() as session:
        worker_id = workers.register(session, name="one", device="cpu", version="0")
        held = chunks.claim(session, worker_id=worker_id)
        assert held
        recording.record(session, held, outcomes(held))


def unreadable(held: Claim) -> list[Unreadable]:
    return [Unreadable(item.item_id, "the picture is gone") for item in held.items]


def test_a_job_is_paused_resumed_and_cancelled(run: Run, job_id: int) -> None:
    assert run("pause", job_id).stdout == f"job {job_id} is paused\n"
    assert "paused" in run("list").stdout
    assert run("resume", job_id).stdout == f"job {job_id} is queued\n"
    assert json.loads(run("cancel", job_id, "--json").stdout)["state"] == "cancelled"
    late = run("cancel", job_id)
    assert late.exit_code != 0
    assert "has ended already" in str(late.exception)


def test_what_failed_is_done_again(run: Run, job_id: int, database: Database) -> None:
    work(database, unreadable)
    assert json.loads(run("list", "--json").stdout)[0]["failed"] == 3
    again = json.loads(run("retry", job_id, "--json").stdout)
    assert (again["state"], again["failed"], again["total"]) == ("queued", 0, 3)


def test_the_list_for_scripts_keeps_its_keys(run: Run, job_id: int, database: Database) -> None:
    with database.writing() as session:
        job_control.pause_all(session, "the disk is full")
    (told,) = json.loads(run("list", "--json").stdout)
    assert {name: told[name] for name in ("id", "kind", "state", "total", "done", "failed", "skipped")} == {
        "id": job_id,
        "kind": "caption",
        "state": "paused",
        "total": 3,
        "done": 0,
        "failed": 0,
        "skipped": 0,
    }
    assert told["paused_because"] == "the disk is full"
    assert "paused: the disk is full" in run("list").stdout


def test_a_job_is_shown_with_everything_about_it(run: Run, job_id: int, database: Database) -> None:
    work(database, unreadable)
    with database.writing() as session:
        broken = {"severity": Severity.ERROR, "details": "Traceback", "worker": "one"}
        job_events.append(session, job_id, "broke", "it broke", **broken)  # type: ignore[arg-type]
    text = run("show", job_id, "--address", "https://archive.example").stdout
    assert f"job {job_id}: caption Harbour, done" in text
    assert "0 of 3 done, 3 failed, 0 skipped; priority 0" in text
    assert "0002.jpg: the picture is gone" in text
    assert "it broke (one)" in text
    assert "recaption job caption Harbour --mode fill" in text
    assert "https://archive.example/api/v1/jobs" in text
    told = json.loads(run("show", job_id, "--json").stdout)
    assert [one["error"] for one in told["failures"]] == ["the picture is gone"] * 3
    assert (told["events"][0]["action"], told["events"][0]["details"]) == ("broke", "Traceback")
    assert told["commands"]["curl"].startswith("curl -X POST http://127.0.0.1:8765/api/v1/jobs")


def test_a_running_job_shows_its_worker_and_its_pace(
    run: Run, database: Database, filled: Filled, written: Outcomes
) -> None:
    with database.writing() as session:
        filled(session, 3 * jobs.CHUNK_SIZE)
    job_id = json.loads(run("caption", "Harbour", "--json").stdout)["id"]
    work(database, written)
    with database.writing() as session:
        session.execute(update(Job).values(running_since=Job.running_since - 64.0))
        assert chunks.claim(session, worker_id=session.scalars(select(Worker.id)).one())
    text = run("show", job_id).stdout
    assert "one on cpu is at chunk 1" in text
    assert "photos/s, about 2 min left" in text
    assert "photos/s, about 2 min left" in run("list").stdout


def test_waiting_tells_why_a_job_is_paused_and_fails_with_its_items(
    run: Run, database: Database, filled: Filled
) -> None:
    with database.writing() as session:
        filled(session, 3)

    def play() -> None:
        wait_for_a_job(database)
        with database.writing() as session:
            job_control.pause_all(session, "the disk is full")
        threading.Event().wait(1.5)
        with database.writing() as session:
            job_control.resume_all(session)
        work(database, unreadable)

    said = beside(play, lambda: run("caption", "Harbour", "--wait"))
    assert said.exit_code == 1
    assert "is paused, and goes on by itself: the disk is full" in said.stderr
    assert "is done: 0 done, 3 failed, 0 skipped" in said.stdout


def test_waiting_for_a_job_that_is_cancelled_fails(run: Run, database: Database, filled: Filled) -> None:
    with database.writing() as session:
        filled(session, 3)

    def play() -> None:
        job_id = wait_for_a_job(database)
        with database.writing() as session:
            job_control.cancel(session, jobs.get(session, job_id, viewer=None), user=None)

    said = beside(play, lambda: run("caption", "Harbour", "--wait", "--json"))
    assert said.exit_code == 1
    assert json.loads(said.stdout)["state"] == JobState.CANCELLED


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_speaks_json(verb: str) -> None:
    assert "--json" in [option for one in job_group.commands[verb].params for option in one.opts]


def wait_for_a_job(database: Database) -> int:
    while True:
        with database.reading() as session:
            if job_id := session.scalar(select(Job.id)):
                return job_id


def beside(play: Callable[[], None], act: Callable[[], Result]) -> Result:
    thread = threading.Thread(target=play)
    thread.start()
    result = act()
    thread.join()
    return result
