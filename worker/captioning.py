"""Captioning: claim a chunk, read and predict with no transaction open, record it in one."""

import logging
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy.exc import SQLAlchemyError

from catalog import chunks, job_control, job_events, recording, space, workers
from catalog.chunks import Claim, ClaimedItem
from catalog.database import AWAY
from catalog.errors import DatabaseFull, MissingBlob, StaleToken, StorageFull, StorageUnavailable
from catalog.recording import Outcome, Unreadable, Written
from catalog.schema import Severity
from model.errors import ModelError
from pictures.decode import open_picture
from pictures.errors import PictureError
from worker import redecoding
from worker.runtime import Runtime

if TYPE_CHECKING:
    from model.prediction import Prediction
    from model.predictor import Predictor

log = logging.getLogger(__name__)

DRAIN_FOR = 60.0  # seconds of claiming after which the task makes room for others
BATCH_SIZE = 16  # pictures that the network sees at once
READERS = 2  # threads that read and decode the next batch meanwhile


def drain(runtime: Runtime, *, seconds: float = DRAIN_FOR) -> bool:
    """Do chunk after chunk until none waits; True when time ran out first and work may be left.

    Somebody looks at the screen until a question is answered, so questions go before the next chunk.
    """
    deadline = time.monotonic() + seconds
    _catch_up(runtime)
    while time.monotonic() < deadline and not runtime.stopping.is_set():
        try:
            if redecoding.answer_next(runtime):
                continue
            with runtime.database.writing() as session:
                held = chunks.claim(session, worker_id=runtime.worker_id)
            if held is None:
                runtime.setbacks.end()
                return False
            _do(runtime, held)
        except DatabaseFull as error:
            pause_all(runtime, str(error))
            return False
        except (StorageUnavailable, StorageFull) as error:
            log.warning("%s; the reconciler will try again", error)
            runtime.trouble.say(str(error))
            return False
    return not runtime.stopping.is_set()


def work(runtime: Runtime, held: Claim) -> None:
    """Caption one chunk and record it, or give it back when this process has to stop."""
    try:
        predictor = runtime.predictor(held.checkpoint_id) if held.items else None
    except (MissingBlob, ModelError) as error:
        why = f"the checkpoint cannot be used: {error}"
        runtime.database.insist(lambda session: recording.fail_job(session, held, why))
        runtime.setbacks.end()
        return
    if predictor is None:
        _record(runtime, held, [])
    elif held.one_by_one:
        _one_by_one(runtime, held, predictor)
    else:
        _together(runtime, held, predictor)


def _do(runtime: Runtime, held: Claim) -> None:
    """Do a chunk, or give it back while its storage is away; what nobody foresaw goes into the job's log."""
    try:
        work(runtime, held)
    except StaleToken as error:
        log.info("%s; its results are dropped", error)
    except (StorageUnavailable, StorageFull, *AWAY):
        _give_back(runtime, held)
        raise
    except Exception as error:
        _note(runtime, held, error)
        raise


def _give_back(runtime: Runtime, held: Claim) -> None:
    """Let go of a chunk that waits for its storage, so that none of its items is charged."""
    try:
        with suppress(StaleToken), runtime.database.writing() as session:
            chunks.release(session, held)
    except (StorageFull, *AWAY):
        # A database that is full or away cannot even write this.
        runtime.holds_nothing = False


def _catch_up(runtime: Runtime) -> None:
    """Give back what a database that was full or away did not hear of, before anybody is charged for it."""
    if not runtime.holds_nothing:
        with runtime.database.writing() as session:
            workers.release_all(session, runtime.worker_id)
        runtime.holds_nothing = True


def pause_all(runtime: Runtime, reason: str) -> None:
    """Note, with the room that was held for it, that no job can go on; the reconciler lets them go on."""
    log.warning("%s; all jobs are paused until there is room", reason)
    if runtime.database.folder:
        space.spend_reserve(runtime.database.folder)
    try:
        with runtime.database.writing() as session:
            workers.release_all(session, runtime.worker_id)
            job_control.pause_all(session, reason)
    except (StorageFull, *AWAY):
        log.warning("there is no room even to write down that the jobs are paused")


def _note(runtime: Runtime, held: Claim, error: Exception) -> None:
    text = f"captioning chunk {held.number} failed on {runtime.name}: {type(error).__name__}: {error}"
    with suppress(SQLAlchemyError, StorageFull), runtime.database.writing() as session:
        job_events.append_once(
            session,
            held.job_id,
            "broke",
            text,
            severity=Severity.ERROR,
            details=traceback.format_exc(),
            worker=runtime.name,
        )


def _together(runtime: Runtime, held: Claim, predictor: "Predictor") -> None:
    """Caption the chunk batch by batch and record it at once."""
    outcomes: list[Outcome] = []
    with ThreadPoolExecutor(READERS) as readers:
        for batch in _read_ahead(runtime, held.items, predictor, readers):
            outcomes += _predict(predictor, batch)
            if runtime.stopping.is_set():
                _give_back(runtime, held)
                return
            runtime.database.insist(lambda session: chunks.renew(session, held))
    _record(runtime, held, outcomes)


def _one_by_one(runtime: Runtime, held: Claim, predictor: "Predictor") -> None:
    """Caption a chunk that lost its worker once, so that the next crash shows the guilty item."""
    for item in held.items:
        if runtime.stopping.is_set():
            _give_back(runtime, held)
            return
        runtime.database.insist(partial(chunks.take_in_hand, held=held, item_id=item.item_id))
        _record(runtime, held, _predict(predictor, [(item, _read(runtime, item, predictor))]))


def _record(runtime: Runtime, held: Claim, outcomes: Sequence[Outcome]) -> None:
    runtime.database.insist(lambda session: recording.record(session, held, outcomes))
    runtime.setbacks.end()
    runtime.trouble.say(None)


def _read_ahead(
    runtime: Runtime, items: Sequence[ClaimedItem], predictor: "Predictor", readers: ThreadPoolExecutor
) -> Iterator[list[tuple[ClaimedItem, np.ndarray | str]]]:
    """Batches of items with their pixels, or with the reason why there are none, read in the background."""
    futures = [(item, readers.submit(_read, runtime, item, predictor)) for item in items]
    try:
        for start in range(0, len(futures), BATCH_SIZE):
            yield [(item, future.result()) for item, future in futures[start : start + BATCH_SIZE]]
    finally:
        for _, future in futures:  # Where one could not be read for now, none is waited for.
            future.cancel()


def _read(runtime: Runtime, item: ClaimedItem, predictor: "Predictor") -> np.ndarray | str:
    """The rendition's pixels, (H, W, 3) uint8 RGB, or a sentence that says why there are none.

    A JPEG is decoded no larger than the network needs.
    """
    size = predictor.description.preprocessing.size
    try:
        return open_picture(runtime.blobs.read(item.rendition), shortest=size).pixels
    except (MissingBlob, PictureError) as error:
        return str(error)


def _predict(predictor: "Predictor", batch: Sequence[tuple[ClaimedItem, np.ndarray | str]]) -> list[Outcome]:
    readable = [(item, pixels) for item, pixels in batch if not isinstance(pixels, str)]
    failed: list[Outcome] = [Unreadable(item.item_id, why) for item, why in batch if isinstance(why, str)]
    if not readable:
        return failed
    predictions = predictor.predict([pixels for _, pixels in readable], attention=True)
    written = [
        _written(item.item_id, prediction)
        for (item, _), prediction in zip(readable, predictions, strict=True)
    ]
    return written + failed


def _written(item_id: int, prediction: "Prediction") -> Written:
    return Written(
        item_id=item_id,
        text=prediction.text,
        score=prediction.score,
        confidence=prediction.confidence,
        tokens=prediction.tokens,
        token_probabilities=prediction.token_probabilities,
        alternatives=[{"text": other.text, "score": other.score} for other in prediction.alternatives],
        attention=None if prediction.attention is None else prediction.attention.tobytes(),
    )
