"""Checkpoints that are promoted, retired or deleted while a job uses them."""

import shutil
from pathlib import Path

import pytest
from sqlalchemy import select

from catalog import checkpoints, job_control
from catalog.schema import Caption, CaptionDetail, Checkpoint, CheckpointState, Job, JobItem, JobState
from recaption import Installation as Installed
from tests.faults.bench import Bench
from tests.faults.conftest import Injected, MakeBench
from tests.faults.invariant import invariant
from tests.faults.stubbed import HANGER, KILLER

CHANGED = "the checkpoint is promoted, retired or deleted during a job"
ITEMS = 700
SLOW = "0.4"  # seconds a chunk


def another_checkpoint(bench: Bench, folder: Path) -> int:
    """Register a copy of the starter under another name; returns its id."""
    shutil.copytree(Installed().starter, folder)
    description = folder / "checkpoint.json"
    name = checkpoints.read_description(folder)["name"]
    description.write_text(description.read_text().replace(name, "newer"))
    with bench.database.writing() as session:
        return checkpoints.register(session, bench.blobs, folder).id


def made_by(bench: Bench, job_id: int) -> set[tuple[int, str]]:
    """The checkpoints that a job's captions name, each with the name of the one that made them."""
    with bench.database.reading() as session:
        rows = session.execute(
            select(Caption.checkpoint_id, CaptionDetail.alternatives)
            .join(CaptionDetail, CaptionDetail.caption_id == Caption.id)
            .where(Caption.job_id == job_id)
        )
        return {(row.checkpoint_id, row.alternatives[0]["text"]) for row in rows}


@pytest.mark.fault(14, CHANGED)
def test_a_job_keeps_its_checkpoint_when_another_one_is_promoted(
    make_bench: MakeBench, injected: Injected, tmp_path: Path
) -> None:
    bench = make_bench(RECAPTION_STUB_CHUNK=SLOW)
    newer = another_checkpoint(bench, tmp_path / "newer")
    first = bench.submit(bench.fill(ITEMS))
    bench.start_worker("one")
    bench.wait_for_some(first)
    with bench.database.writing() as session:
        pinned = session.get_one(Job, first).checkpoint_id
        starter = session.get_one(Checkpoint, pinned)
        starter.state = CheckpointState.RETIRED
        session.get_one(Checkpoint, newer).state = CheckpointState.ACTIVE
        name = starter.name
    injected.one()
    # A job of the promoted one, whose chunks come in turn with those of the first.
    second = bench.submit(bench.fill(ITEMS, name="Hills"))
    bench.start_worker("two")
    for job_id in (first, second):
        assert bench.wait_for_end(job_id).state is JobState.DONE
        assert invariant(bench.database, job_id) == {"done": ITEMS}
    assert made_by(bench, first) == {(pinned, f"Made by {name}.")}
    assert made_by(bench, second) == {(newer, "Made by newer.")}


@pytest.mark.fault(14, CHANGED)
def test_a_job_whose_checkpoint_is_gone_says_so_and_can_be_done_again(
    make_bench: MakeBench, injected: Injected
) -> None:
    bench = make_bench("Redis", "PostgreSQL", RECAPTION_STUB_CHUNK=SLOW)
    job_id = bench.submit(bench.fill(ITEMS))
    bench.start_worker("loaded")
    bench.wait_for_some(job_id)
    with bench.database.reading() as session:
        checkpoint = session.get_one(Checkpoint, session.get_one(Job, job_id).checkpoint_id)
    bench.blobs.delete(checkpoint.weights_sha256)
    shutil.rmtree(bench.settings.cache)
    injected.one()
    # Who has loaded it goes on with it; who has to load it cannot.
    bench.wait_for_some(job_id, bench.job(job_id).done + 1)
    bench.stop("loaded")
    bench.start_worker("fresh")
    job = bench.wait_for_end(job_id)
    assert job.state is JobState.FAILED
    assert job.error
    assert job.error.startswith("the checkpoint cannot be used: ")
    assert checkpoint.weights_sha256 in job.error
    everybody = (*range(40), KILLER, HANGER)
    states = invariant(bench.database, job_id, may_fail=everybody)
    assert states["done"] + states["failed"] == ITEMS
    assert min(states["done"], states["failed"]) > 0
    with bench.database.reading() as session:
        errors = select(JobItem.error).where(JobItem.job_id == job_id, JobItem.error.is_not(None)).distinct()
        assert session.scalars(errors).all() == [job.error]
    bench.blobs.put(Installed().starter / checkpoints.WEIGHTS)
    with bench.database.writing() as session:
        again = job_control.retry_failed(session, session.get_one(Job, job_id), user=None)
    assert again == states["failed"]
    assert bench.wait_for_end(job_id).state is JobState.DONE
    assert invariant(bench.database, job_id) == {"done": ITEMS}
