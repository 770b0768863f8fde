import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from catalog import collections, job_control, training_jobs, training_runs, workers
from catalog.blobs.local import LocalBlobs
from catalog.chunks import POISON_AFTER
from catalog.database import Database
from catalog.errors import Conflict, StaleToken
from catalog.schema import (
    Checkpoint,
    CheckpointState,
    Chunk,
    ChunkState,
    Dataset,
    DatasetImage,
    DatasetKind,
    Image,
    Job,
    JobState,
    Split,
    TrainingRun,
)
from catalog.training_runs import HeldRun, Told

PHOTOS = {Split.TRAIN: training_jobs.MINIMUM_PHOTOS, Split.VALIDATION: 1}


def frozen(session: Session, name: str) -> Dataset:
    collection = collections.create(session, name=name, owner=None)
    made = Dataset(
        name=name,
        version=3,
        kind=DatasetKind.CURATED,
        collection_id=collection.id,
        manifest_sha256="2" * 64,
    )
    session.add(made)
    session.flush()
    for split, count in PHOTOS.items():
        for number in range(count):
            sha256 = f"{made.id:032x}{split.value.encode().hex():0>24}{number:08x}"
            image = Image(sha256=sha256, rendition=sha256, format="JPEG", bytes=1, width=9, height=9)
            session.add(image)
            session.flush()
            session.add(DatasetImage(dataset_id=made.id, image_id=image.id, split=split))
    return made


def start(database: Database, name: str = "harbour", **options: Any) -> int:
    with database.writing() as session:
        base = session.scalar(select(Checkpoint).limit(1)) or Checkpoint(
            name="starter",
            state=CheckpointState.ACTIVE,
            weights_sha256="0" * 64,
            description_sha256="1" * 64,
            description={"name": "starter"},
        )
        session.add(base)
        session.flush()
        dataset = session.scalar(select(Dataset).where(Dataset.name == name)) or frozen(session, name)
        job = training_jobs.create(session, dataset, base=base, recipe=None, user=None, **options)
        return job.id


def worker(database: Database, name: str = "one") -> int:
    with database.writing() as session:
        return workers.register(session, name=name, device="cpu", version="1", queue="train")


def claim(database: Database, worker_id: int) -> HeldRun | None:
    with database.writing() as session:
        return training_runs.claim(session, worker_id=worker_id)


def claimed(database: Database, name: str = "one") -> HeldRun:
    held = claim(database, worker(database, name))
    assert held
    return held


def run_of(database: Database, job_id: int) -> TrainingRun:
    with database.reading() as session:
        return training_runs.run_of(session, session.get_one(Job, job_id))


def end_lease(database: Database) -> None:
    with database.writing() as session:
        session.execute(update(Chunk).values(lease_expires=0.0))


def end_lease_of(database: Database, job_id: int) -> None:
    with database.writing() as session:
        session.execute(update(Chunk).where(Chunk.job_id == job_id).values(lease_expires=0.0))


def trained(folder: Path, weights: bytes = b"weights") -> Path:
    """The folder that a training left, as far as the catalog looks at it."""
    folder.mkdir(exist_ok=True)
    (folder / "weights.safetensors").write_bytes(weights)
    (folder / "checkpoint.json").write_text(json.dumps({"name": "output", "lineage": {}}))
    return folder


def test_caption_workers_claim_no_train_job(database: Database) -> None:
    from catalog import chunks

    start(database)
    worker_id = worker(database)
    with database.writing() as session:
        assert not chunks.work_waits(session)
        assert chunks.claim(session, worker_id=worker_id) is None
        assert training_runs.work_waits(session)


def test_of_one_line_one_run_is_at_work_at_a_time(database: Database) -> None:
    first, second, other = start(database), start(database), start(database, "mountains")
    held = claimed(database)
    assert held.job_id == first
    beside = claimed(database, "two")
    assert beside.job_id == other
    assert claim(database, worker(database, "three")) is None
    with database.writing() as session:
        training_runs.finish(session, held, "done")
    after = claimed(database, "three")
    assert after.job_id == second


def test_a_run_whose_worker_died_is_taken_over_and_the_dead_one_can_write_no_more(
    database: Database, blobs: LocalBlobs, tmp_path: Path
) -> None:
    job_id = start(database)
    lost = claimed(database)
    end_lease(database)
    held = claimed(database, "two")
    assert (held.job_id, held.token) == (job_id, lost.token + 1)
    with pytest.raises(StaleToken), database.writing() as session:
        training_runs.renew(session, lost)
    with pytest.raises(StaleToken):
        training_runs.publish(database, blobs, lost, trained(tmp_path / "out"))
    with database.reading() as session:
        assert session.scalars(select(Checkpoint.name)).all() == ["starter"]
    assert list(blobs.keys()) == []


def test_what_a_refused_publication_removes_is_stored_again_by_the_one_that_comes_meanwhile(
    database: Database, blobs: LocalBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(database)
    lost = claimed(database)
    end_lease(database)
    held, folder, insist = claimed(database, "two"), trained(tmp_path / "out"), database.insist

    def overtaken(act: Any) -> Any:
        """All is stored, and before there is a row, the dead worker comes with the same bytes."""
        monkeypatch.setattr(database, "insist", insist)
        with pytest.raises(StaleToken):
            training_runs.publish(database, blobs, lost, folder)
        assert list(blobs.keys()) == []
        return insist(act)

    monkeypatch.setattr(database, "insist", overtaken)
    made_id = training_runs.publish(database, blobs, held, folder)
    with database.reading() as session:
        made = session.get_one(Checkpoint, made_id)
    assert blobs.read(made.weights_sha256) == b"weights"
    assert json.loads(blobs.read(made.description_sha256))["name"] == made.name


def test_what_the_child_says_is_kept(database: Database) -> None:
    job_id = start(database)
    held = claimed(database)
    row = {"epoch": 1, "loss": 3.5, "scores": {"cider": 0.25}}
    said = {"stage": "training", "epoch": 1, "epochs": 8, "step": 3, "steps": 9, "updates": 12, "loss": 3.25}
    with database.writing() as session:
        state = training_runs.renew(session, held, Told({**said, "seconds_left": 70.0}, [row]))
    assert state is JobState.RUNNING
    run = run_of(database, job_id)
    assert (run.stage, run.epochs, run.losses) == ("training", [row], [[12, 3.25]])
    with database.reading() as session:
        job = session.get_one(Job, job_id)
        assert (job.done, job.total) == (1, 8)
        standing = training_runs.standing(session, job)
    assert (standing.epoch, standing.steps, standing.seconds_left) == (1, 9, 70.0)


def test_losses_are_thinned_and_those_that_are_done_again_replaced(database: Database) -> None:
    job_id = start(database)
    held = claimed(database)
    with database.writing() as session:
        for update_ in range(1, 3 * training_runs.MOST_LOSSES):
            training_runs.renew(session, held, Told({"updates": update_, "loss": 1.0}, []))
    losses = run_of(database, job_id).losses
    assert len(losses) <= training_runs.MOST_LOSSES
    assert losses[-1][0] == 3 * training_runs.MOST_LOSSES - 1
    assert losses == sorted(losses)
    with database.writing() as session:
        training_runs.renew(session, held, Told({"updates": 5, "loss": 2.0}, []))
    assert run_of(database, job_id).losses[-1] == [5, 2.0]


def test_a_published_checkpoint_is_a_candidate_named_after_its_dataset(
    database: Database, blobs: LocalBlobs, tmp_path: Path
) -> None:
    job_id = start(database, "Harbour photos")
    held = claimed(database)
    first = training_runs.publish(database, blobs, held, trained(tmp_path / "out"))
    assert training_runs.publish(database, blobs, held, tmp_path / "out") == first
    with database.writing() as session:
        made = session.get_one(Checkpoint, first)
        assert (made.name, made.state) == ("harbour-photos-3", CheckpointState.CANDIDATE)
        assert json.loads(blobs.read(made.description_sha256)) == made.description
        assert blobs.read(made.weights_sha256) == b"weights"
        training_runs.finish(session, held, "done")
    with database.reading() as session:
        assert session.get_one(Job, job_id).state is JobState.DONE
        assert session.get_one(Chunk, (job_id, 0)).state is ChunkState.FINISHED
    start(database, "Harbour photos")
    again = claimed(database)
    second = training_runs.publish(database, blobs, again, tmp_path / "out")
    with database.reading() as session:
        assert session.get_one(Checkpoint, second).name == "harbour-photos-3-take-2"


def test_a_name_that_is_taken_meanwhile_is_given_to_nobody_else(
    database: Database, blobs: LocalBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(database)
    held = claimed(database)
    names = iter(["starter", "harbour-3"])
    monkeypatch.setattr(training_runs, "_free_name", lambda session, held: next(names))
    made = training_runs.publish(database, blobs, held, trained(tmp_path / "out"))
    with database.reading() as session:
        checkpoint = session.get_one(Checkpoint, made)
    assert checkpoint.name == "harbour-3"
    assert {*blobs.keys()} == {checkpoint.weights_sha256, checkpoint.description_sha256}


def test_a_cancelled_job_refuses_the_result_that_was_on_its_way(
    database: Database, blobs: LocalBlobs, tmp_path: Path
) -> None:
    job_id = start(database)
    held = claimed(database)
    with database.writing() as session:
        job_control.cancel(session, session.get_one(Job, job_id), user=None)
    with pytest.raises(StaleToken):
        training_runs.publish(database, blobs, held, trained(tmp_path / "out"))
    assert list(blobs.keys()) == []
    with pytest.raises(StaleToken), database.writing() as session:
        training_runs.renew(session, held)


def test_a_paused_job_is_told_to_its_worker_and_goes_on_later(database: Database) -> None:
    job_id = start(database)
    held = claimed(database)
    with database.writing() as session:
        job_control.pause(session, session.get_one(Job, job_id), user=None)
        assert training_runs.renew(session, held) is JobState.PAUSED
        training_runs.release(session, held)
    assert claim(database, worker(database)) is None
    with database.writing() as session:
        job_control.resume(session, session.get_one(Job, job_id), user=None)
    assert claimed(database).job_id == job_id


def test_a_failed_job_is_tried_again_from_what_it_has_saved(database: Database) -> None:
    job_id = start(database)
    held = claimed(database)
    with database.writing() as session:
        training_runs.keep_files(session, held, "4" * 64)
        training_runs.fail(session, held, "the disk is full", details="Traceback")
    with database.writing() as session:
        job = session.get_one(Job, job_id)
        assert (job.state, job.error) == (JobState.FAILED, "the disk is full")
        assert job_control.retry_failed(session, job, user=None) == 1
        assert (job.state, job.error) == (JobState.QUEUED, None)
        with pytest.raises(Conflict, match="only a failed train job"):
            job_control.retry_failed(session, job, user=None)
    again = claimed(database)
    assert (again.job_id, again.files_sha256) == (job_id, "4" * 64)


def test_files_that_are_saved_again_give_up_the_ones_before(database: Database) -> None:
    start(database)
    held = claimed(database)
    with database.writing() as session:
        assert training_runs.keep_files(session, held, "4" * 64) is None
        assert training_runs.keep_files(session, held, "5" * 64) == "4" * 64
        assert training_runs.keep_files(session, held, "5" * 64) is None


def test_two_workers_that_claim_at_once_never_get_two_runs_of_a_line(empty_postgresql: str) -> None:
    database = Database(empty_postgresql)
    start(database)
    start(database)
    first, second = worker(database, "one"), worker(database, "two")
    with database.writing() as session:
        assert training_runs.claim(session, worker_id=first)
        with database.writing_session() as other:
            other.execute(text("SET LOCAL lock_timeout = '200ms'"))
            with pytest.raises(OperationalError, match="lock timeout"):
                training_runs.claim(other, worker_id=second)
    with database.writing() as other:
        assert training_runs.claim(other, worker_id=second) is None
    database.close()


def test_a_run_that_ends_its_workers_fails_and_may_be_tried_again(database: Database) -> None:
    job_id, other_id = start(database), start(database, "mountains")
    beside = worker(database, "beside")
    claimed(database)
    assert claim(database, beside).job_id == other_id
    for number in range(POISON_AFTER - 1):
        end_lease_of(database, job_id)
        assert claimed(database, f"worker {number}").job_id == job_id
    end_lease_of(database, job_id)
    assert claim(database, worker(database, "last")) is None
    with database.writing() as session:
        job = session.get_one(Job, job_id)
        assert (job.state, job.error[:31]) == (JobState.FAILED, "workers died or hung 3 times ov")
        training_runs.retry(session, job, user=None)
    assert claimed(database, "after").job_id == job_id


def test_an_epoch_between_them_forgives_takeovers(database: Database) -> None:
    job_id = start(database)
    held = claimed(database)
    for number in range(POISON_AFTER + 1):
        with database.writing() as session:
            rows = [{"epoch": epoch} for epoch in range(number + 1)]
            training_runs.renew(session, held, Told({"epoch": number + 1}, rows))
        end_lease_of(database, job_id)
        held = claimed(database, f"worker {number}")
    assert held.job_id == job_id


def test_a_run_that_is_given_back_is_not_taken_over(database: Database) -> None:
    start(database)
    for number in range(POISON_AFTER + 2):
        held = claimed(database, f"worker {number}")
        with database.writing() as session:
            training_runs.release(session, held)
