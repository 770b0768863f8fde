"""What the network thought while it wrote a caption: each word's confidence, the doubtful ones, attention."""

import math
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog.errors import NotFound
from catalog.schema import Caption, CaptionDetail, Checkpoint

DOUBTFUL = 0.5  # confidence below which a word is more likely none that people would have used
MOST_DOUBTFUL = 3  # words of a caption
SURE = 1e-6  # as near to 0 or 1 as a probability is taken for; as `model.description` has it


@dataclass(frozen=True)
class Word:
    """A word of the network, with its probability and, where the checkpoint is calibrated, its confidence."""

    text: str
    probability: float
    confidence: float | None
    doubtful: bool


@dataclass(frozen=True)
class Inside:
    """The words of a model caption with their attention: a grid of `side` x `side` bytes each, end to end.

    `framing` says which part of the photo the grid covers: squash is all of it, crop the square in its
    middle, pad the square around it. `grids` is None for networks that pay no attention.
    """

    words: list[Word]
    calibrated: bool
    framing: str
    side: int
    grids: bytes | None


def of_caption(session: Session, caption: Caption) -> Inside:
    """What the network thought of a caption. Raises NotFound for one that no network of ours wrote."""
    numbers, framing = Checkpoint.description["word_calibration"], Checkpoint.description["preprocessing"]
    row = session.execute(
        select(CaptionDetail, numbers, framing)
        .select_from(CaptionDetail)
        .join(Caption, Caption.id == CaptionDetail.caption_id)
        .outerjoin(Checkpoint, Checkpoint.id == Caption.checkpoint_id)
        .where(CaptionDetail.caption_id == caption.id)
    ).one_or_none()
    if row is None:
        raise NotFound(f"no network said anything about caption {caption.id}: people wrote or imported it")
    detail, calibration, preprocessing = row
    cells = len(detail.attention or b"") // max(1, len(detail.tokens))
    return Inside(
        words=_words(detail, calibration),
        calibrated=calibration is not None,
        framing=(preprocessing or {}).get("framing", "squash"),
        side=math.isqrt(cells),
        grids=detail.attention if cells else None,
    )


def word_confidence(probability: float, calibration: dict[str, float]) -> float:
    """The chance that people would have used a word of this probability, as the checkpoint was fitted."""
    kept = min(max(probability, SURE), 1 - SURE)
    log_odds = math.log(kept / (1 - kept))
    # A sigmoid, written so that no exponential can overflow.
    return 0.5 * (1 + math.tanh(0.5 * (calibration["slope"] * log_odds + calibration["bias"])))


def _words(detail: CaptionDetail, calibration: dict[str, float] | None) -> list[Word]:
    said: list[tuple[Any, float]] = list(zip(detail.tokens, detail.token_probabilities, strict=False))
    confidences = [
        word_confidence(probability, calibration) if calibration else None for _, probability in said
    ]
    below = [(one, place) for place, one in enumerate(confidences) if one is not None and one < DOUBTFUL]
    doubtful = {place for _, place in sorted(below)[:MOST_DOUBTFUL]}
    return [
        Word(text=str(text), probability=probability, confidence=confidence, doubtful=place in doubtful)
        for place, ((text, probability), confidence) in enumerate(zip(said, confidences, strict=True))
    ]
