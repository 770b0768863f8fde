"""Questions of reviewers, answered by a real captioner between two chunks."""

import multiprocessing
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from catalog import checkpoints, collections, inside, jobs, redecodings, workers
from catalog.database import Database, database_clock
from catalog.redecodings import Asked
from catalog.schema import Chunk, ChunkState, Image, Item, Redecoding, RedecodingState, User
from catalog.settings import Settings, load_settings
from model.description import log_odds, read_description, starter_folder
from worker import captioning, pipeline, redecoding
from worker.runtime import Runtime
from worker.shared import Flag

CHUNKS, CHUNK_SIZE = 3, 2


def new_runtime(settings: Settings) -> Runtime:
    return Runtime(settings=settings, worker_id=1, name="one", device="cpu", stopping=Flag())


@pytest.fixture
def runtime(tmp_path: Path, migrated_sqlite: Path) -> Iterator[Runtime]:
    """A working process on the CPU, with the starter as its checkpoint and the user ada."""
    settings = load_settings({"RECAPTION_HOME": str(tmp_path / "home")})
    settings.prepare_home()
    shutil.copy(migrated_sqlite, settings.home / "recaption.sqlite")
    database = Database(settings.database_url)
    with database.writing() as session:
        assert workers.register(session, name="one", device="cpu", version="0") == 1
        session.add(User(name="ada", role="admin", password="!", fs_uniquifier="ada"))
    database.close()
    runtime = new_runtime(settings)
    checkpoints.ensure_starter(runtime.database, runtime.blobs, starter_folder())
    yield runtime
    runtime.database.close()


@pytest.fixture
def item(runtime: Runtime, photo: Callable[..., Path], tmp_path: Path) -> int:
    """The first of so many photos that a job on them has several chunks."""
    with runtime.database.writing() as session:
        collection = collections.create(session, name="Harbour", owner=None)
        for number in range(CHUNK_SIZE * CHUNKS):
            key = runtime.blobs.put(photo(tmp_path / "one.jpg", seed=number, size=(32, 32)))
            image = Image(sha256=key, rendition=key, format="JPEG", bytes=10, width=32, height=32)
            session.add(image)
            session.flush()
            session.add(
                Item(
                    collection_id=collection.id, image_id=image.id, path=f"{number}.jpg", position=number + 1
                )
            )
        session.flush()
        return session.scalars(select(func.min(Item.id))).one()


def ask(runtime: Runtime, item_id: int, **question: object) -> int:
    """Ask for other words, or, with a `prefix`, for the rest."""
    with runtime.database.writing() as session:
        item, user = session.get_one(Item, item_id), session.scalars(select(User)).one()
        if "prefix" in question:
            return redecodings.ask_to_continue(session, item, user=user, prefix=str(question["prefix"])).id
        words = ["a", "dog", "runs"]
        return redecodings.ask_for_replacements(session, item, user=user, words=words, position=1, count=5).id


def answered(runtime: Runtime, redecoding_id: int) -> Redecoding:
    with runtime.database.reading() as session:
        found = session.get_one(Redecoding, redecoding_id)
        session.expunge(found)
        return found


def start_a_job(runtime: Runtime) -> None:
    with runtime.database.writing() as session:
        collection = collections.by_name(session, "Harbour")
        checkpoint = checkpoints.active(session)
        jobs.create_caption_job(session, collection, checkpoint=checkpoint, user=None)


def finished_chunks(runtime: Runtime) -> int:
    with runtime.database.reading() as session:
        finished = select(func.count()).where(Chunk.state == ChunkState.FINISHED)
        return session.scalars(finished).one()


def test_other_words_and_the_rest_behind_typed_ones_are_what_the_captioner_says(
    runtime: Runtime, item: int
) -> None:
    others, rest = ask(runtime, item), ask(runtime, item, prefix="Two red")
    assert captioning.drain(runtime) is False
    found = answered(runtime, others)
    assert found.state is RedecodingState.ANSWERED
    words = [one["word"] for one in (found.answer or {})["replacements"]]
    assert len(set(words)) == 5
    assert "dog" not in words
    continued = answered(runtime, rest).answer
    assert continued
    assert continued["text"].startswith("Two red ")
    assert continued["tokens"][:2] == ["two", "red"]
    assert len(continued["tokens"]) == len(continued["token_probabilities"])


def test_a_question_waits_for_one_chunk_at_most_while_a_job_runs(
    runtime: Runtime, item: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "CHUNK_SIZE", CHUNK_SIZE)
    start_a_job(runtime)
    asked: list[int] = []
    seen: list[tuple[int, RedecodingState]] = []
    read_ahead = pipeline.read_ahead

    def read_and_ask(*given: Any) -> Any:
        seen.extend((len(asked), answered(runtime, one).state) for one in asked)
        asked.append(ask(runtime, item))  # while the chunk is under way
        return read_ahead(*given)

    monkeypatch.setattr(pipeline, "read_ahead", read_and_ask)
    assert captioning.drain(runtime) is False
    assert finished_chunks(runtime) == CHUNKS
    assert len(asked) == CHUNKS
    assert {state for _, state in seen} == {RedecodingState.ANSWERED}, "the next chunk waited for it"
    assert answered(runtime, asked[-1]).state is RedecodingState.ANSWERED


def test_too_many_words_for_the_captioner_become_the_error_of_the_question(
    runtime: Runtime, item: int
) -> None:
    asked = ask(runtime, item, prefix="dog " * 30)
    assert captioning.drain(runtime) is False
    found = answered(runtime, asked)
    assert found.state is RedecodingState.FAILED
    assert "20 at most" in str(found.error)


def test_a_photo_that_is_gone_fails_its_question_and_the_worker_goes_on(runtime: Runtime, item: int) -> None:
    gone, there = ask(runtime, item), ask(runtime, item + 1)
    with runtime.database.reading() as session:
        key = session.scalars(select(Image.rendition).join(Item).where(Item.id == item)).one()
    runtime.blobs.delete(key)
    assert captioning.drain(runtime) is False
    assert answered(runtime, gone).state is RedecodingState.FAILED
    assert key in str(answered(runtime, gone).error)
    assert answered(runtime, there).state is RedecodingState.ANSWERED


def test_a_checkpoint_that_is_gone_fails_its_question(runtime: Runtime, item: int) -> None:
    asked = ask(runtime, item)
    with runtime.database.reading() as session:
        runtime.blobs.delete(checkpoints.active(session).weights_sha256)
    assert captioning.drain(runtime) is False
    assert answered(runtime, asked).state is RedecodingState.FAILED


def test_the_next_worker_answers_what_a_killed_one_had_in_hand(
    runtime: Runtime, item: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ask(runtime, item)
    runtime.database.close()  # a child that inherits SQLite's connections believes that it holds their locks

    def hang(runtime: Runtime, held: Asked) -> dict[str, object]:
        time.sleep(600)
        return {}

    monkeypatch.setattr(redecoding, "_answer", hang)
    victim = multiprocessing.get_context("fork").Process(
        target=lambda: captioning.drain(new_runtime(runtime.settings))
    )
    victim.start()
    deadline = time.monotonic() + 60
    while answered(runtime, asked).state is RedecodingState.WAITING:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    victim.kill()
    victim.join()
    monkeypatch.undo()
    assert captioning.drain(runtime) is False
    assert answered(runtime, asked).state is RedecodingState.CLAIMED, "its lease has not run out"
    with runtime.database.writing() as session:
        session.execute(update(Redecoding).values(lease_expires=database_clock() - 1))
    assert captioning.drain(runtime) is False
    found = answered(runtime, asked)
    assert (found.state, found.attempts) == (RedecodingState.ANSWERED, 2)


def test_the_pages_and_the_captioner_agree_how_far_to_trust_a_word() -> None:
    calibration = read_description(starter_folder()).word_calibration
    assert calibration
    numbers = {"slope": calibration.slope, "bias": calibration.bias}
    for probability in (0.0, 1e-9, 0.01, 0.5, 0.99, 1.0):
        assert inside.word_confidence(probability, numbers) == calibration.confidence(log_odds(probability))
