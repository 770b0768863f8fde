"""Batches of photos: read and framed by threads, captioned by the network, told as outcomes."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import starmap
from typing import TYPE_CHECKING

from catalog.blobs import BlobStore
from catalog.chunks import ClaimedItem
from catalog.errors import MissingBlob
from catalog.recording import Outcome, Unreadable, Written
from pictures.decode import open_picture
from pictures.errors import PictureError

if TYPE_CHECKING:
    from torch import Tensor

    from model.prediction import Prediction
    from model.predictor import Predictor

BATCH_SIZE = 64  # photos that the network sees at once


@dataclass(frozen=True)
class Photo:
    """An item's rendition on its way from storage, or a sentence that says why there is none."""

    item_id: int
    framed: "Future[Tensor | str]"


def read_ahead(
    readers: ThreadPoolExecutor, blobs: BlobStore, items: Sequence[ClaimedItem], predictor: "Predictor"
) -> Iterator[list[Photo]]:
    """Batches of photos, all of which the threads have begun to read."""
    read = partial(_read, blobs, predictor=predictor)
    photos = [Photo(item.item_id, readers.submit(read, item.rendition)) for item in items]
    for start in range(0, len(photos), BATCH_SIZE):
        yield photos[start : start + BATCH_SIZE]


def read_now(blobs: BlobStore, item: ClaimedItem, predictor: "Predictor") -> Photo:
    """One photo, read by the caller."""
    framed: Future[Tensor | str] = Future()
    framed.set_result(_read(blobs, item.rendition, predictor))
    return Photo(item.item_id, framed)


def caption(
    predictor: "Predictor", batch: Sequence[Photo], go_on: Callable[[], None] = lambda: None
) -> list[Outcome]:
    """What came of each photo. Raises what reading a photo raises when its storage is away.

    `go_on` is called every few photos, and what it raises, too.
    """
    framed = [(photo.item_id, photo.framed.result()) for photo in batch]
    failed: list[Outcome] = [Unreadable(item_id, why) for item_id, why in framed if isinstance(why, str)]
    readable = {item_id: pixels for item_id, pixels in framed if not isinstance(pixels, str)}
    if not readable:
        return failed
    predictions = predictor.predict_framed(list(readable.values()), attention=True, go_on=go_on)
    return [*starmap(_written, zip(readable, predictions, strict=True)), *failed]


def _read(blobs: BlobStore, rendition: str, predictor: "Predictor") -> "Tensor | str":
    """The rendition as the network takes it, or a sentence that says why there is none.

    A JPEG is decoded no larger than the network needs.
    """
    try:
        size = predictor.description.preprocessing.size
        return predictor.frame(open_picture(blobs.read(rendition), shortest=size).pixels)
    except (MissingBlob, PictureError) as error:
        return str(error)


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
