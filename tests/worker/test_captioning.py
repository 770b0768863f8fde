from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import DataError, OperationalError

from catalog import checkpoints, collections, jobs, recording, workers
from catalog.blobs.s3 import S3Blobs
from catalog.object_storage import Bucket, S3Account, S3Place
from catalog.schema import (
    CaptionDetail,
    Checkpoint,
    Chunk,
    ChunkState,
    Image,
    Item,
    JobEvent,
    JobItem,
    JobItemState,
)
from model.description import starter_folder
from worker import captioning, pipeline
from worker.runtime import Runtime


@pytest.fixture
def runtime(runtime: Runtime) -> Runtime:
    """The working process with the starter as its checkpoint."""
    checkpoints.ensure_starter(runtime.database, runtime.blobs, starter_folder())
    return runtime


def wait_for_it(runtime: Runtime, photo: Path) -> None:
    """Put a photo into a collection, with a job that captions it."""
    key = runtime.blobs.put(photo)
    with runtime.database.writing() as session:
        collection = collections.create(session, name="Harbour", owner=None)
        image = Image(sha256=key, rendition=key, format="JPEG", bytes=10, width=96, height=64)
        session.add(image)
        session.flush()
        session.add(Item(collection_id=collection.id, image_id=image.id, path="one.jpg", position=1))
        session.flush()
        jobs.create_caption_job(session, collection, checkpoint=checkpoints.active(session), user=None)


def caption_one(runtime: Runtime, photo: Path) -> CaptionDetail:
    """Have the worker caption a photo, and return what the network said."""
    wait_for_it(runtime, photo)
    assert captioning.drain(runtime) is False
    with runtime.database.reading() as session:
        return session.scalars(select(CaptionDetail)).one()


def test_a_chunk_whose_storage_is_away_waits_and_charges_nobody(
    runtime: Runtime, photo: Callable[..., Path], free_port: int, tmp_path: Path
) -> None:
    away = S3Account(f"http://127.0.0.1:{free_port}", "us-east-1", "KEYID", "SECRET")
    here, bucket = runtime.blobs, Bucket(S3Place("photos", ""), away)
    wait_for_it(runtime, photo(tmp_path / "one.jpg"))
    runtime.blobs = S3Blobs(bucket, staging=tmp_path)
    for loaded in (False, True):
        assert captioning.drain(runtime) is False
        with runtime.database.reading() as session:
            assert session.scalars(select(Chunk.state)).one() is ChunkState.WAITING
            assert session.scalars(select(JobItem.in_hand)).one() is False
            assert session.scalars(select(JobItem.state)).one() is JobItemState.QUEUED
            checkpoint = session.scalars(select(Checkpoint)).one()
        assert runtime.trouble.text, "people are told what it waits for"
        if not loaded:
            checkpoints.materialise(checkpoint, here, runtime.settings.cache)
    runtime.blobs = here
    assert captioning.drain(runtime) is False
    assert runtime.trouble.text is None
    with runtime.database.reading() as session:
        assert session.scalars(select(JobItem.state)).one() is JobItemState.DONE


def test_what_the_network_said_is_kept_with_confidence_and_attention(
    runtime: Runtime, photo: Callable[..., Path], tmp_path: Path
) -> None:
    detail = caption_one(runtime, photo(tmp_path / "one.jpg"))
    assert detail.score < 0
    assert detail.confidence is not None
    assert 0 < detail.confidence < 1
    assert len(detail.tokens) == len(detail.token_probabilities) > 3
    assert len({detail.model_text, *(other["text"] for other in detail.alternatives)}) == 3
    assert detail.attention is not None
    maps = np.frombuffer(detail.attention, np.uint8).reshape(len(detail.tokens), 7, 7)
    assert np.all(maps.max(axis=(1, 2)) == 255)


def test_a_chunk_that_a_database_did_not_take_back_is_given_back_before_anybody_is_charged(
    runtime: Runtime, photo: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_for_it(runtime, photo(tmp_path / "one.jpg"))
    with runtime.database.writing() as session:
        session.execute(update(Chunk).values(one_by_one=True))
    away = OperationalError("UPDATE", {}, Exception("the server closed the connection"))

    def fail(*_: object) -> None:
        raise away

    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "caption", fail)
        patched.setattr(workers, "release_all", fail)
        with pytest.raises(OperationalError):
            captioning.drain(runtime)
    with runtime.database.reading() as session:
        assert session.scalars(select(JobItem.in_hand)).one() is True
    assert captioning.drain(runtime) is False
    with runtime.database.reading() as session:
        job_item = session.scalars(select(JobItem)).one()
        assert (job_item.state, job_item.found_in_hand) == (JobItemState.DONE, 0)


def test_what_no_wait_can_mend_goes_into_the_log_of_the_job_once(
    runtime: Runtime, photo: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_for_it(runtime, photo(tmp_path / "one.jpg"))

    def refuse(*_: object) -> None:
        raise DataError("INSERT", {}, Exception("a text that no column takes"))

    monkeypatch.setattr(recording, "record", refuse)
    for _ in range(2):
        with pytest.raises(DataError):
            captioning.drain(runtime)
        with runtime.database.writing() as session:
            workers.end_leases(session, runtime.worker_id)
    with runtime.database.reading() as session:
        events = session.scalars(select(JobEvent).where(JobEvent.action == "broke")).all()
    assert len(events) == 1
    assert "a text that no column takes" in events[0].text
    assert "Traceback" in str(events[0].details)
