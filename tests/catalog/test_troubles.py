"""What keeps jobs from going on is said in plain words, on the jobs page and by the doctor."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import update
from sqlalchemy.orm import Session

from catalog import collections, job_control, jobs, space, workers
from catalog.commands import doctor_command
from catalog.database import Database, database_clock
from catalog.queue import Queue
from catalog.schema import Checkpoint, Job, Worker, utc_now
from catalog.settings import Settings, load_settings
from catalog.troubles import Trouble, nobody_works, troubles
from tests.disks import fill_up

Filled = Callable[..., tuple[int, list[int], int]]
Told = Callable[[], list[Trouble]]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = load_settings({"RECAPTION_HOME": str(tmp_path / "home")})
    settings.prepare_home()
    return settings


@pytest.fixture
def queue(settings: Settings) -> Queue:
    return Queue(settings)


@pytest.fixture
def told(session: Session, settings: Settings, database: Database, queue: Queue) -> Told:
    return lambda: troubles(session, settings, database, queue)


@pytest.fixture
def job(session: Session, filled: Filled) -> Job:
    collection_id, _, checkpoint_id = filled(session, 3)
    return jobs.create_caption_job(
        session,
        collections.get(session, collection_id, viewer=None),
        checkpoint=session.get_one(Checkpoint, checkpoint_id),
        user=None,
    )


def silent_for(session: Session, worker_id: int, seconds: float) -> None:
    silent = update(Worker).where(Worker.id == worker_id)
    session.execute(silent.values(heartbeat=database_clock() - seconds))
    session.expire_all()


def test_where_all_is_well_nothing_is_said(session: Session, told: Told, queue: Queue) -> None:
    workers.register(session, name="one", device="cpu", version="0")
    assert queue.probe()
    assert told() == []


def test_a_worker_that_died_is_told_of_within_half_a_minute(session: Session, told: Told) -> None:
    worker_id = workers.register(session, name="gpu", device="cuda", version="0")
    assert workers.ALIVE_FOR + workers.BEAT < 30
    silent_for(session, worker_id, workers.ALIVE_FOR + 1)
    (trouble,) = told()
    assert "The worker gpu on cuda died" in trouble.what
    assert "recaption worker" in trouble.remedy
    assert not workers.alive(session)
    silent_for(session, worker_id, workers.MOURNED_FOR + 1)
    assert told() == []


def test_a_worker_that_was_buried_is_told_of_at_once(session: Session, told: Told) -> None:
    workers.register(session, name="embedded", device="cpu", version="0")
    workers.bury(session, "embedded")
    session.expire_all()
    assert ["embedded" in trouble.what for trouble in told()] == [True]
    workers.register(session, name="embedded", device="cpu", version="0")
    session.expire_all()
    assert told() == []


def test_a_worker_that_ended_in_order_is_not_mourned(session: Session, told: Told) -> None:
    worker_id = workers.register(session, name="one", device="cpu", version="0")
    workers.say_goodbye(session, worker_id)
    session.expire_all()
    assert not workers.alive(session)
    silent_for(session, worker_id, workers.ALIVE_FOR + 1)
    assert told() == []


def test_one_that_was_started_on_the_same_machine_takes_the_place_of_the_dead(
    session: Session, told: Told
) -> None:
    worker_id = workers.register(session, name="host:1", device="cpu", version="0")
    silent_for(session, worker_id, workers.ALIVE_FOR + 60)
    workers.register(session, name="host:2", device="cpu", version="0")
    assert told() == []


def test_one_that_was_started_beside_it_does_not_hide_a_dead_worker(session: Session, told: Told) -> None:
    worker_id = workers.register(session, name="host:cuda0", device="cuda", version="0")
    neighbour = workers.register(session, name="host:cuda1", device="cuda", version="0")
    silence = workers.ALIVE_FOR + 1
    silent_for(session, worker_id, silence)
    started = utc_now() - timedelta(seconds=silence - workers.BEAT / 2)
    session.execute(update(Worker).where(Worker.id == neighbour).values(started_at=started))
    session.expire_all()
    assert ["host:cuda0" in trouble.what for trouble in told()] == [True]


def test_a_heartbeat_from_before_the_clock_was_set_back_counts_for_nothing(session: Session) -> None:
    worker_id = workers.register(session, name="one", device="cpu", version="0")
    silent_for(session, worker_id, -3600)
    assert not workers.alive(session)
    assert [worker.name for worker in workers.mourned(session)] == ["one"]


def test_a_broker_that_is_away_is_told_of_without_its_password(
    session: Session, settings: Settings, database: Database
) -> None:
    away = replace(settings, broker_url="redis://:secret@127.0.0.1:1/0")
    queue = Queue(away)
    assert not queue.probe()
    (trouble,) = troubles(session, away, database, queue)
    assert "The broker (redis://" in trouble.what
    assert "127.0.0.1:1" in trouble.what
    assert "secret" not in trouble.what
    assert "RECAPTION_BROKER_URL" in trouble.remedy


def test_of_several_brokers_no_password_is_told(
    session: Session, settings: Settings, database: Database, queue: Queue
) -> None:
    both = "amqp://u:secret1@one:5672//;amqp://u:secret2@two:5672//"
    queue.trouble = "refused"
    (trouble,) = troubles(session, replace(settings, broker_url=both), database, queue)
    assert "secret" not in trouble.what
    assert "one:5672" in trouble.what
    assert "two:5672" in trouble.what


def test_a_worker_that_was_cut_off_for_a_day_is_known_again(session: Session) -> None:
    worker_id = workers.register(session, name="far", device="cpu", version="0")
    silent_for(session, worker_id, workers.FORGOTTEN_AFTER + 1)
    workers.register(session, name="near", device="cpu", version="0")
    assert not workers.beat(session, worker_id)
    assert workers.register(session, name="far", device="cpu", version="0", worker_id=worker_id) == worker_id
    assert workers.beat(session, worker_id)
    session.expire_all()
    assert [worker.name for worker in workers.alive(session)] == ["far", "near"]


def test_what_a_worker_says_of_itself_is_told(session: Session, told: Told) -> None:
    worker_id = workers.register(session, name="one", device="cpu", version="0")
    workers.beat(session, worker_id, trouble="it cannot reach the broker: refused")
    session.expire_all()
    (trouble,) = told()
    assert trouble.what == "The worker one cannot work: it cannot reach the broker: refused."
    workers.beat(session, worker_id)
    session.expire_all()
    assert told() == []


def test_a_worker_that_is_too_old_for_a_job_is_named(session: Session, told: Told, job: Job) -> None:
    workers.register(session, name="old", device="cpu", version="0.1")
    assert told() == []
    job.protocol = jobs.PROTOCOL + 1
    session.flush()
    (trouble,) = told()
    assert "The worker old (version 0.1) is too old" in trouble.what
    assert "Install this release" in trouble.remedy


def test_jobs_that_were_paused_for_want_of_room_are_told_of(session: Session, told: Told, job: Job) -> None:
    job_control.pause_all(session, "the disk of the database is full")
    (trouble,) = told()
    assert trouble.what == "A job is paused: the disk of the database is full."
    job_control.resume_all(session)
    job_control.pause(session, job, user=None)
    assert told() == []


def test_a_disk_that_is_almost_full_is_told_of(
    session: Session, settings: Settings, database: Database, queue: Queue, small_disk: Path
) -> None:
    small = replace(settings, home=small_disk)
    fill_up(small_disk, but=space.LOW // 1000)
    told = [trouble.what for trouble in troubles(session, small, database, queue)]
    assert any(repr(str(small_disk)) in what and "almost full" in what for what in told)


def test_that_nobody_works_is_said_only_while_work_waits(session: Session, job: Job) -> None:
    assert [trouble.what for trouble in nobody_works(session)] == ["Jobs wait, and no worker is running."]
    workers.register(session, name="one", device="cpu", version="0")
    assert not list(nobody_works(session))


def test_the_doctor_says_the_same_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, filled: Filled
) -> None:
    monkeypatch.setenv("RECAPTION_HOME", str(tmp_path / "doctored"))
    assert CliRunner().invoke(doctor_command).exit_code == 0
    monkeypatch.setenv("RECAPTION_BROKER_URL", "redis://127.0.0.1:1/0")
    database = Database(load_settings().database_url)
    with database.writing() as session:
        collection_id, _, checkpoint_id = filled(session, 1)
        jobs.create_caption_job(
            session,
            collections.get(session, collection_id, viewer=None),
            checkpoint=session.get_one(Checkpoint, checkpoint_id),
            user=None,
        )
        workers.register(session, name="embedded", device="cpu", version="0")
        workers.bury(session, "embedded")
    database.close()
    said = CliRunner().invoke(doctor_command, ["--quick"])
    assert said.exit_code == 1
    for words in (
        "The broker (redis://127.0.0.1:1/0)",
        "The worker embedded on cpu died",
        "no worker is running",
    ):
        assert words in said.output
