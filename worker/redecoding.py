"""Redecoding: answer what reviewers ask of the network, one question at a time, between two chunks."""

import logging
from dataclasses import asdict
from typing import Any

from catalog import redecodings
from catalog.errors import MissingBlob, StorageFull, StorageUnavailable
from catalog.redecodings import Asked
from catalog.schema import RedecodingKind
from model.errors import ModelError
from pictures.decode import open_picture
from pictures.errors import PictureError
from worker.runtime import Runtime

log = logging.getLogger(__name__)


def answer_next(runtime: Runtime) -> bool:
    """Answer the oldest question that waits; False when none does.

    A question whose photo or checkpoint cannot be used fails with a sentence. Raises StorageUnavailable and
    StorageFull, and then the question waits.
    """
    # Asked before every chunk, and mostly for nothing: no writer has to wait for that.
    with runtime.database.reading() as session:
        if not redecodings.wait(session):
            return False
    with runtime.database.writing() as session:
        held = redecodings.claim(session)
    if held is None:
        return False
    _do(runtime, held)
    runtime.setbacks.end()
    return True


def _do(runtime: Runtime, held: Asked) -> None:
    try:
        answer = _answer(runtime, held)
    except (MissingBlob, PictureError, ModelError) as error:
        why = str(error)
        log.info("question %s has no answer: %s", held.redecoding_id, why)
        runtime.database.insist(lambda session: redecodings.fail(session, held, why))
        return
    except (StorageUnavailable, StorageFull):
        with runtime.database.writing() as session:
            redecodings.release(session, held)
        raise
    runtime.database.insist(lambda session: redecodings.answer(session, held, answer))


def _answer(runtime: Runtime, held: Asked) -> dict[str, Any]:
    predictor = runtime.predictor(held.checkpoint_id)
    size = predictor.description.preprocessing.size
    pixels = open_picture(runtime.blobs.read(held.rendition), shortest=size).pixels
    if held.kind is RedecodingKind.REPLACEMENTS:
        found = predictor.replacements(pixels, **held.question)
        return {"replacements": [asdict(one) for one in found]}
    prediction = predictor.continue_from(pixels, held.question["prefix"])
    return {
        "text": prediction.text,
        "score": prediction.score,
        "tokens": list(prediction.tokens),
        "token_probabilities": list(prediction.token_probabilities),
        "alternatives": [asdict(other) for other in prediction.alternatives],
    }
