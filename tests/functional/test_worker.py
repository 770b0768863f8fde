"""The real worker process, over the embedded broker and SQLite and over Redis and PostgreSQL."""

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from catalog import workers
from catalog.blobs import open_blobs
from catalog.blobs.local import LocalBlobs
from catalog.database import database_clock
from catalog.jobs import CHUNK_SIZE
from catalog.schema import Caption, Chunk, ChunkState, Image, Item, JobItem, JobState
from tests.functional.installation import Installation

Started = Callable[..., int]
ENOUGH_TO_BE_CAUGHT = CHUNK_SIZE * 3


def captions_per_item(installation: Installation) -> list[int]:
    with installation.database.reading() as session:
        query = select(func.count(Caption.id)).select_from(Item).outerjoin(Caption).group_by(Item.id)
        return list(session.scalars(query))


def test_a_job_is_captioned_and_exported(
    installation: Installation, started: Started, tmp_path: Path
) -> None:
    job_id = started(CHUNK_SIZE + 6)
    with installation.worker():
        job = installation.wait_for_end(job_id)
    assert (job.state, job.done, job.failed) == (JobState.DONE, CHUNK_SIZE + 6, 0)
    assert set(captions_per_item(installation)) == {1}
    installation.run("export", "Harbour", "--format", "jsonl", "--output", str(tmp_path / "out"))
    lines = (tmp_path / "out" / "captions.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["captions"][0]["text"] for line in lines]
    assert len(texts) == CHUNK_SIZE + 6
    assert all(text.endswith(".") and text[0].isupper() for text in texts)


def test_a_worker_killed_in_mid_job_costs_nothing(installation: Installation, started: Started) -> None:
    job_id = started(ENOUGH_TO_BE_CAUGHT)
    with installation.worker("killed") as process:
        installation.wait(job_id, lambda job: job.done > 0)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=10)
    assert installation.job(job_id).state is JobState.RUNNING
    with installation.database.writing() as session:
        # What the supervisor of an embedded worker does; elsewhere the lease runs out within a minute.
        workers.bury(session, "killed")
    with installation.worker("next"):
        job = installation.wait_for_end(job_id)
    assert (job.state, job.done, job.failed, job.skipped) == (JobState.DONE, ENOUGH_TO_BE_CAUGHT, 0, 0)
    assert set(captions_per_item(installation)) == {1}
    with installation.database.reading() as session:
        assert session.scalar(select(func.max(JobItem.found_in_hand))) in (0, None)


@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["to the process", "to the group"])
def test_a_deploy_ends_the_worker_in_time_and_charges_nobody(
    installation: Installation, started: Started, send: Callable[[int, int], None]
) -> None:
    job_id = started(ENOUGH_TO_BE_CAUGHT)
    with installation.worker("old") as process:
        installation.wait(job_id, lambda job: job.done > 0)
        send(process.pid, signal.SIGTERM)
        begun = time.monotonic()
        assert process.wait(timeout=20) == 0
        assert time.monotonic() - begun < 15
    with installation.database.reading() as session:
        assert session.scalar(select(func.count()).where(Chunk.state == ChunkState.CLAIMED)) == 0
        assert session.scalar(select(func.max(JobItem.found_in_hand))) == 0
        assert not session.scalar(select(func.count()).where(Chunk.one_by_one))
    with installation.worker("new"):
        assert installation.wait_for_end(job_id).done == ENOUGH_TO_BE_CAUGHT


def test_a_cancelled_job_stops_and_keeps_what_is_done(installation: Installation, started: Started) -> None:
    job_id = started(ENOUGH_TO_BE_CAUGHT)
    with installation.worker():
        installation.wait(job_id, lambda job: job.done > 0)
        installation.run("job", "cancel", str(job_id))
        done = installation.job(job_id).done
        time.sleep(2.0)
    job = installation.job(job_id)
    assert (job.state, job.done) == (JobState.CANCELLED, done)
    assert sum(captions_per_item(installation)) == done < ENOUGH_TO_BE_CAUGHT


def test_a_rotten_and_a_missing_blob_fail_only_their_items(
    installation: Installation, started: Started
) -> None:
    job_id = started(5)
    blobs = open_blobs(installation.settings)
    with installation.database.reading() as session:
        keys = session.scalars(select(Image.rendition).join(Item).order_by(Item.position)).all()
    blobs.delete(keys[1])
    assert isinstance(blobs, LocalBlobs)
    blobs.path(keys[3]).write_bytes(b"rot")
    with installation.worker():
        job = installation.wait_for_end(job_id)
    assert (job.state, job.done, job.failed) == (JobState.DONE, 3, 2)
    with installation.database.reading() as session:
        query = select(JobItem.error).where(JobItem.error.is_not(None)).order_by(JobItem.item_id)
        missing, rotten = session.scalars(query).all()
    assert "is missing" in missing
    assert "is damaged" in rotten


def test_work_whose_wake_up_was_lost_is_found_again(
    installation: Installation, photos: Callable[[int], Path]
) -> None:
    installation.run("import", "Harbour", str(photos(3)))
    unheard = replace(
        installation, variables={**installation.variables, "RECAPTION_BROKER_URL": "redis://127.0.0.1:1/0"}
    )
    with installation.worker():
        installation.wait_until_alive()
        answer = unheard.run("job", "caption", "Harbour")
        assert "stays queued" in answer.stderr
        assert installation.wait_for_end(int(answer.stdout.split()[1])).done == 3


def test_every_gpu_gets_a_worker_of_its_own(installation: Installation) -> None:
    # Two GPUs that are not there: the workers come up all the same, for only their children look for them.
    many = replace(installation, variables={**installation.variables, "CUDA_VISIBLE_DEVICES": "0,1"})
    with many.worker("host", device="auto") as process:
        assert many.wait_until_alive(2) == ["host:cuda0", "host:cuda1"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
def test_a_clock_that_jumps_leaves_no_lease_stuck(
    installation: Installation, started: Started, jump: float
) -> None:
    job_id = started(3)
    with installation.database.writing() as session:
        stuck = update(Chunk).where(Chunk.job_id == job_id)
        session.execute(stuck.values(state=ChunkState.CLAIMED, lease_expires=database_clock() + jump))
    with installation.worker():
        assert installation.wait_for_end(job_id).done == 3
