"""Databases that are full or away for a while: what insists, what holds some room, and what goes on later."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from catalog import collections, job_control, jobs, space
from catalog.database import Database, migrate
from catalog.errors import DatabaseFull
from catalog.queue import Queue
from catalog.reconciler import go_on, reconcile
from catalog.schema import Checkpoint, Collection, Job, JobState
from catalog.settings import load_settings
from tests.disks import fill_up

Filled = Callable[..., tuple[int, list[int], int]]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalog.database.RETRY_PAUSE", 0.01)


@pytest.fixture
def away() -> Callable[[int], Callable[[Session], int]]:
    """A function that makes a transaction which fails so many times, behind a row that it has written."""

    def fail(times: int) -> Callable[[Session], int]:
        left = [times]

        def act(session: Session) -> int:
            collections.create(session, name="Harbour", owner=None)
            left[0] -= 1
            if left[0] >= 0:
                raise OperationalError("COMMIT", {}, Exception("the server closed the connection"))
            return 7

        return act

    return fail


def test_a_transaction_is_done_again_while_the_database_is_away(
    database: Database, away: Callable[[int], Callable[[Session], int]]
) -> None:
    assert database.insist(away(3)) == 7
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Collection)) == 1


def test_a_database_that_stays_away_is_given_up(
    database: Database, away: Callable[[int], Callable[[Session], int]]
) -> None:
    with pytest.raises(OperationalError):
        database.insist(away(1_000_000), seconds=0.1)
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Collection)) == 0


def test_a_full_database_is_not_asked_again(database: Database) -> None:
    asked = []

    def act(session: Session) -> None:
        asked.append(session)
        raise DatabaseFull("full")

    with pytest.raises(DatabaseFull):
        database.insist(act)
    assert len(asked) == 1


def test_a_database_with_room_has_room(database: Database) -> None:
    assert database.has_room()
    assert database.has_room(), "asking must leave nothing behind"


def test_what_a_full_disk_had_in_reserve_is_enough_to_pause_and_room_lets_the_jobs_go_on(
    small_disk: Path, filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(space, "RESERVE", 128 << 10)
    monkeypatch.setattr("catalog.database.ROOM", 64 << 10)
    settings = replace(
        load_settings({"RECAPTION_HOME": str(small_disk)}),
        database_url=f"sqlite:///{small_disk / 'recaption.sqlite'}",
    )
    migrate(settings.database_url)
    full = Database(settings.database_url)
    with full.writing() as session:
        collection_id, _, checkpoint_id = filled(session, 3)
        job = jobs.create_caption_job(
            session,
            collections.get(session, collection_id, viewer=None),
            checkpoint=session.get_one(Checkpoint, checkpoint_id),
            user=None,
        )
    go_on(full)
    assert (small_disk / space.RESERVE_NAME).stat().st_size == space.RESERVE
    filler = fill_up(small_disk)
    assert not full.has_room()
    with pytest.raises(DatabaseFull), full.writing() as session:
        session.get_one(Collection, collection_id).guidelines = "long " * 100_000
    space.spend_reserve(small_disk)
    with full.writing() as session:
        job_control.pause_all(session, "the disk is full")
    queue = Queue(settings)
    assert not reconcile(full, queue)
    assert state_of(full, job.id) is JobState.PAUSED
    filler.unlink()
    reconcile(full, queue)
    assert state_of(full, job.id) is JobState.QUEUED
    assert (small_disk / space.RESERVE_NAME).exists()
    full.close()


def state_of(where: Database, job_id: int) -> JobState:
    with where.reading() as session:
        return session.get_one(Job, job_id).state


def test_no_room_is_held_on_a_disk_that_has_hardly_any(small_disk: Path) -> None:
    fill_up(small_disk, but=3 * space.RESERVE // 2)
    space.keep_reserve(small_disk)
    assert not (small_disk / space.RESERVE_NAME).exists()
    space.spend_reserve(small_disk)
