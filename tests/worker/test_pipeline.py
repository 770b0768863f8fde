"""Chunks that follow each other through the lanes, over a stand-in for the network."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import func, select, update

from catalog import checkpoints, collections, jobs, recording, workers
from catalog.chunks import Claim
from catalog.errors import StorageUnavailable
from catalog.recording import Outcome, Written
from catalog.schema import Caption, Chunk, ChunkState, Image, Item, Job, JobEvent, JobItem, JobState
from model import lanes
from model.description import starter_folder
from worker import batches, captioning, pipeline
from worker.batches import Photo
from worker.runtime import Runtime

CHUNKS, CHUNK_SIZE, BATCH_SIZE = 4, 4, 2


@pytest.fixture
def runtime(
    runtime: Runtime, photo: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Runtime:
    """A working process with two lanes and a job of several chunks, each of several batches."""
    checkpoints.ensure_starter(runtime.database, runtime.blobs, starter_folder())
    key = runtime.blobs.put(photo(tmp_path / "one.jpg", size=(32, 32)))
    monkeypatch.setattr(jobs, "CHUNK_SIZE", CHUNK_SIZE)
    monkeypatch.setattr(batches, "BATCH_SIZE", BATCH_SIZE)
    monkeypatch.setattr(lanes, "lane_count", lambda _: 2)
    description = SimpleNamespace(preprocessing=SimpleNamespace(size=16))
    predictor = SimpleNamespace(description=description, frame=lambda pixels: pixels)
    monkeypatch.setattr(Runtime, "predictor", lambda *_: predictor)
    monkeypatch.setattr(pipeline, "caption", captioned)
    with runtime.database.writing() as session:
        collection = collections.create(session, name="Harbour", owner=None)
        image = Image(sha256=key, rendition=key, format="JPEG", bytes=10, width=32, height=32)
        session.add(image)
        session.flush()
        session.add_all(
            Item(collection_id=collection.id, image_id=image.id, path=f"{number}.jpg", position=number)
            for number in range(1, CHUNKS * CHUNK_SIZE + 1)
        )
        session.flush()
        jobs.create_caption_job(session, collection, checkpoint=checkpoints.active(session), user=None)
    return runtime


def captioned(_: object, photos: Sequence[Photo], *more: object) -> list[Outcome]:
    assert not any(isinstance(photo.framed.result(), str) for photo in photos)
    return [
        Written(
            item_id=photo.item_id, text="A dog.", score=-1.0, tokens=["a", "dog"], token_probabilities=[1, 1]
        )
        for photo in photos
    ]


def states(runtime: Runtime) -> list[ChunkState]:
    with runtime.database.reading() as session:
        return list(session.scalars(select(Chunk.state).order_by(Chunk.number)))


def test_the_next_chunk_is_captioned_while_one_is_recorded(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, begun, overlapped = recording.record, [0], []

    def counted(predictor: object, photos: Sequence[Photo], *more: object) -> list[Outcome]:
        begun[0] += 1
        return captioned(predictor, photos)

    def slowly(session: object, held: Claim, outcomes: Sequence[Outcome]) -> None:
        before, deadline = begun[0], time.monotonic() + 2
        while begun[0] == before and time.monotonic() < deadline:
            time.sleep(0.01)
        overlapped.append(begun[0] > before)
        record(session, held, outcomes)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline, "caption", counted)
    monkeypatch.setattr(recording, "record", slowly)
    assert captioning.drain(runtime) is False
    assert any(overlapped)
    with runtime.database.reading() as session:
        job = session.scalars(select(Job)).one()
        assert (job.state, job.done, job.failed) == (JobState.DONE, CHUNKS * CHUNK_SIZE, 0)


def test_a_chunk_that_goes_item_by_item_has_the_process_to_itself(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    with runtime.database.writing() as session:
        session.execute(update(Chunk).where(Chunk.number == 1).values(one_by_one=True))
    in_lanes, beside, sizes = [0], [], []

    def watched(predictor: object, photos: Sequence[Photo], *more: object) -> list[Outcome]:
        sizes.append(len(photos))
        if threading.current_thread() is threading.main_thread():
            beside.append(in_lanes[0])
            return captioned(predictor, photos)
        in_lanes[0] += 1
        time.sleep(0.05)
        in_lanes[0] -= 1
        return captioned(predictor, photos)

    monkeypatch.setattr(pipeline, "caption", watched)
    assert captioning.drain(runtime) is False
    assert states(runtime) == [ChunkState.FINISHED] * CHUNKS
    assert beside == [0] * CHUNK_SIZE
    assert sorted(sizes) == [1] * CHUNK_SIZE + [BATCH_SIZE] * ((CHUNKS - 1) * CHUNK_SIZE // BATCH_SIZE)


def test_all_chunks_on_their_way_are_given_back_when_their_storage_goes_away(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> list[Outcome]:
        raise StorageUnavailable("the bucket does not answer")

    monkeypatch.setattr(pipeline, "caption", away)
    assert captioning.drain(runtime) is False
    assert states(runtime) == [ChunkState.WAITING] * CHUNKS
    assert runtime.trouble.text == "the bucket does not answer"
    with runtime.database.reading() as session:
        assert session.scalars(select(JobItem.found_in_hand).distinct()).all() == [0]
        assert not session.scalars(select(JobEvent).where(JobEvent.action == "broke")).all()
    monkeypatch.setattr(pipeline, "caption", captioned)
    assert captioning.drain(runtime) is False
    assert states(runtime) == [ChunkState.FINISHED] * CHUNKS


def test_what_is_not_recorded_is_given_back_when_the_process_has_to_stop(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopping(predictor: object, photos: Sequence[Photo], *more: object) -> list[Outcome]:
        runtime.stopping.set()
        return captioned(predictor, photos)

    monkeypatch.setattr(pipeline, "caption", stopping)
    assert captioning.drain(runtime) is False
    assert states(runtime) == [ChunkState.WAITING] * CHUNKS


def test_a_batch_on_its_way_is_left_when_the_process_has_to_stop(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = []

    def endless(predictor: object, photos: Sequence[Photo], go_on: Callable[[], None]) -> list[Outcome]:
        runtime.stopping.set()
        for _ in range(1000):
            try:
                go_on()
            except pipeline.Stopped:
                left.append(len(photos))
                raise
            time.sleep(0.01)
        return captioned(predictor, photos)

    monkeypatch.setattr(pipeline, "caption", endless)
    assert captioning.drain(runtime) is False
    assert left
    assert states(runtime) == [ChunkState.WAITING] * CHUNKS
    with runtime.database.reading() as session:
        assert not session.scalars(select(JobEvent).where(JobEvent.action == "broke")).all()


def test_a_chunk_that_was_taken_over_is_dropped_and_the_others_are_recorded(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    with runtime.database.writing() as session:
        other = workers.register(session, name="other", device="cpu", version="0")
    taken = threading.Lock()

    def overtaken(predictor: object, photos: Sequence[Photo], *more: object) -> list[Outcome]:
        if taken.acquire(blocking=False):
            with runtime.database.writing() as session:
                first = update(Chunk).where(Chunk.number == 0)
                session.execute(first.values(token=Chunk.token + 1, worker_id=other))
        return captioned(predictor, photos)

    monkeypatch.setattr(pipeline, "caption", overtaken)
    monkeypatch.setattr(pipeline, "RENEWALS", 1e9)
    assert captioning.drain(runtime) is False
    assert states(runtime) == [ChunkState.CLAIMED] + [ChunkState.FINISHED] * (CHUNKS - 1)
    with runtime.database.reading() as session:
        written = select(func.count()).select_from(Caption).join(JobItem, JobItem.item_id == Caption.item_id)
        assert session.scalar(written.where(JobItem.chunk_number == 0)) == 0
        assert session.scalar(written) == (CHUNKS - 1) * CHUNK_SIZE


def test_what_nobody_foresaw_in_a_lane_goes_into_the_log_of_its_job(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> list[Outcome]:
        raise RuntimeError("the network is broken")

    monkeypatch.setattr(pipeline, "caption", broken)
    with pytest.raises(RuntimeError):
        captioning.drain(runtime)
    with runtime.database.reading() as session:
        events = session.scalars(select(JobEvent).where(JobEvent.action == "broke")).all()
    assert events
    assert all("the network is broken" in event.text for event in events)
    assert ChunkState.CLAIMED in states(runtime), "its next process goes item by item"
