"""Whether the fast path writes what the plain path writes, token for token, in float32."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from torch import Tensor

from benchmarks.captioning import BATCH_SIZE
from benchmarks.plain_path import PlainPath
from benchmarks.rows import Row
from model.description import starter_folder
from model.images import decode_ahead
from model.lanes import in_lanes, lane_count
from model.predictor import Predictor


def measure(photos: Sequence[Path], *, checkpoint: Path | None = None) -> list[Row]:
    """The share of photos with equal captions, on a processor; a note tells of each that differs."""
    folder = checkpoint or starter_folder()
    plain = PlainPath.load(folder)
    fast = list(fast_tokens(Predictor.load(folder, device="cpu"), photos))
    notes = []
    for photo, tokens in zip(photos, fast, strict=True):
        expected, score = plain.caption(photo)
        if tokens != expected:
            notes.append(_difference(plain, photo, tokens, expected, score))
    equal = len(photos) - len(notes)
    return [
        Row(
            name="captions equal to those of the plain path, float32, token for token",
            ratio=equal / len(photos),
            medians={"equal": equal, "of": len(photos)},
            unit="photos",
            at_least=1.0,
            notes=notes,
        )
    ]


def fast_tokens(predictor: Predictor, photos: Sequence[Path]) -> Iterator[tuple[int, ...]]:
    """The caption of each photo as `recaption caption` makes it: batches in lanes, decoded ahead."""
    vocabulary = predictor.description.vocabulary
    decoded = map(_whole, decode_ahead(photos, predictor.description.preprocessing))
    batches = iter(lambda: list(islice(decoded, BATCH_SIZE)), [])
    for predictions in in_lanes(predictor.predict_framed, batches, lanes=lane_count("cpu")):
        for prediction in predictions:
            yield tuple(vocabulary.encode(prediction.tokens, max_length=len(prediction.tokens))[1:-1])


def _whole(photo: Tensor | Exception) -> Tensor:
    if isinstance(photo, Exception):
        raise photo
    return photo


def _difference(
    plain: PlainPath, photo: Path, tokens: Sequence[int], expected: Sequence[int], score: float
) -> str:
    """Both captions with their scores, which differ by rounding alone where two captions are as good."""
    words = plain.description.vocabulary.decode
    return (
        f'{photo.name}: fast "{" ".join(words(tokens))}" ({plain.score(photo, tokens):.6f}), '
        f'plain "{" ".join(words(expected))}" ({score:.6f})'
    )
