"""Captioning: claim a chunk, read and predict with no transaction open, record it in one."""

import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from catalog import chunks
from catalog.chunks import Claim, ClaimedItem, Outcome, Unreadable, Written
from catalog.errors import MissingBlob, StaleToken, StorageFull, StorageUnavailable
from model.errors import ModelError
from pictures.decode import open_picture
from pictures.errors import PictureError
from worker.runtime import Runtime

if TYPE_CHECKING:
    from model.prediction import Prediction
    from model.predictor import Predictor

log = logging.getLogger(__name__)

DRAIN_FOR = 60.0  # seconds of claiming after which the task makes room for others
BATCH_SIZE = 16  # pictures that the network sees at once
READERS = 2  # threads that read and decode the next batch meanwhile


def drain(runtime: Runtime, *, seconds: float = DRAIN_FOR) -> bool:
    """Do chunk after chunk until none waits; True when time ran out first and work may be left."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not runtime.stopping.is_set():
        with runtime.database.writing() as session:
            held = chunks.claim(session, worker_id=runtime.worker_id)
        if held is None:
            return False
        try:
            work(runtime, held)
        except (StorageUnavailable, StorageFull) as error:
            log.warning("%s; the chunk is given back, and the reconciler will try again", error)
            _give_back(runtime, held)
            return False
    return not runtime.stopping.is_set()


def work(runtime: Runtime, held: Claim) -> None:
    """Caption one chunk and record it, or give it back when this process has to stop."""
    try:
        predictor = runtime.predictor(held.checkpoint_id) if held.items else None
    except (MissingBlob, ModelError, OSError) as error:
        with runtime.database.writing() as session:
            chunks.fail_job(session, held, f"the checkpoint cannot be used: {error}")
        return
    try:
        if predictor is None:
            _record(runtime, held, [])
        elif held.one_by_one:
            _one_by_one(runtime, held, predictor)
        else:
            _together(runtime, held, predictor)
    except StaleToken as error:
        log.info("%s; its results are dropped", error)


def _give_back(runtime: Runtime, held: Claim) -> None:
    """Let go of a chunk that waits for its storage, so that none of its items is charged."""
    # A full database cannot even write this; the lease then ends by itself.
    with suppress(StaleToken, StorageFull), runtime.database.writing() as session:
        chunks.release(session, held)


def _together(runtime: Runtime, held: Claim, predictor: "Predictor") -> None:
    """Caption the chunk batch by batch and record it at once."""
    outcomes: list[Outcome] = []
    with ThreadPoolExecutor(READERS) as readers:
        for batch in _read_ahead(runtime, held.items, predictor, readers):
            outcomes += _predict(predictor, batch)
            with runtime.database.writing() as session:
                if runtime.stopping.is_set():
                    chunks.release(session, held)
                    return
                chunks.renew(session, held)
    _record(runtime, held, outcomes)


def _one_by_one(runtime: Runtime, held: Claim, predictor: "Predictor") -> None:
    """Caption a chunk that lost its worker once, so that the next crash shows the guilty item."""
    for item in held.items:
        with runtime.database.writing() as session:
            if runtime.stopping.is_set():
                chunks.release(session, held)
                return
            chunks.take_in_hand(session, held, item.item_id)
        _record(runtime, held, _predict(predictor, [(item, _read(runtime, item, predictor))]))


def _record(runtime: Runtime, held: Claim, outcomes: Sequence[Outcome]) -> None:
    with runtime.database.writing() as session:
        chunks.record(session, held, outcomes)


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
