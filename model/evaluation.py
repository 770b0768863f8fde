"""`recaption evaluate`: the captions of a split, scored against its references."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from tqdm import tqdm

from model.bootstrap import intervals
from model.calibration import Certainty, certainty
from model.captioning import caption_photos
from model.data import Example, content_hashes, data_hash
from model.description import Description
from model.errors import DataError
from model.metrics import SCORER, TOKENIZER, Scorer, corpus_scores, human_scores, named, tokenized
from model.predictor import Predictor
from model.tokenizer import ptb_words

DIGITS = 6


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Scores of one caption a photo and all that makes them comparable.

    `human` is people against each other; `intervals` are 95 % bootstrap bounds over photos; `failed` counts
    photos without a caption, which got everything wrong; `checkpoint` is None for captions of other origin,
    and so are `beam_size` and `framing`.
    `certainty` tells what the confidence of these captions is worth, None where they have none.
    """

    split: str
    n: int
    references: int | float
    tokenizer: str
    beam_size: int | None
    scores: dict[str, float]
    human: dict[str, float] | None
    intervals: dict[str, tuple[float, float]]
    scorer: str
    checkpoint: str | None
    weights_sha256: str | None
    data_sha256: str
    failed: int
    certainty: Certainty | None = None
    framing: str | None = None


@dataclass(frozen=True, kw_only=True)
class Captions:
    """One caption a photo, "" where there is none, and by file name why there is none.

    `confidences` are given where all captions come from one calibrated checkpoint.
    """

    texts: list[str]
    confidences: list[float] | None = None
    failed: Mapping[str, str] = field(default_factory=dict)


class Evaluator:
    """Scores the captions of several systems on the photos of one split."""

    def __init__(self, split: str, examples: Sequence[Example]) -> None:
        self._split = split
        self._examples = examples
        self._references = tokenized([example.captions for example in examples])
        self._scorer = Scorer(self._references)

    @cached_property
    def human(self) -> dict[str, float] | None:
        """People against each other: takes seconds for a thousand photos, so once and only when asked for."""
        found = human_scores(self._references)
        return _rounded(found) if found else None

    @cached_property
    def data_sha256(self) -> str:
        """One hash of the photos and their references."""
        return data_hash(self._examples, content_hashes(self._examples))

    def statistics(self, captions: Captions) -> np.ndarray:
        """What each caption, in the order of the photos, adds to the scores: (B, 12)."""
        return self._scorer.statistics([ptb_words(text) for text in captions.texts])

    def evaluation(
        self,
        captions: Captions,
        statistics: np.ndarray,
        *,
        beam_size: int | None,
        framing: str | None,
        description: Description | None = None,
    ) -> Evaluation:
        """The scores of captions from their statistics; `description` is of the checkpoint that made them."""
        references = sum(len(example.captions) for example in self._examples) / len(self._examples)
        return Evaluation(
            split=self._split,
            n=len(self._examples),
            references=int(references) if references.is_integer() else round(references, 2),
            tokenizer=TOKENIZER,
            beam_size=beam_size,
            scores=_rounded(named(corpus_scores(statistics))),
            human=self.human,
            intervals={
                name: (round(low, DIGITS), round(high, DIGITS))
                for name, (low, high) in intervals(statistics).items()
            },
            scorer=SCORER,
            checkpoint=description.name if description else None,
            weights_sha256=description.weights_sha256 if description else None,
            data_sha256=self.data_sha256,
            failed=len(captions.failed),
            certainty=certainty(captions.confidences, statistics) if captions.confidences else None,
            framing=framing,
        )


def predict_captions(
    predictor: Predictor, examples: Sequence[Example], *, batch_size: int = 64, progress: bool = False
) -> Captions:
    """The best caption of each photo, read from its file; "" where that cannot be read."""
    texts: list[str] = []
    confidences: list[float] = []
    failed: dict[str, str] = {}
    images = [str(example.path) for example in examples]
    with tqdm(total=len(images), unit="photo", disable=not progress) as bar:
        for batch in caption_photos(predictor, images, batch_size=batch_size):
            texts += [photo.caption or "" for photo in batch]
            # A photo that could not be read is as uncertain as can be.
            confidences += [photo.confidence or 0.0 for photo in batch]
            failed |= {Path(photo.image).name: photo.error for photo in batch if photo.error}
            bar.update(len(batch))
    calibrated = predictor.description.calibration is not None
    return Captions(texts=texts, confidences=confidences if calibrated else None, failed=failed)


def read_captions(path: Path, examples: Sequence[Example]) -> Captions:
    """Anybody's captions: the JSON lines of `recaption caption`, or a COCO results JSON.

    They find their photos by file name, or by the id that the data gives a photo. Photos without a caption
    get "", and count as failed. Raises DataError for another kind of file, and when no photo has a caption.
    """
    try:
        text = path.read_text(encoding="utf-8")
        rows = (
            json.loads(text)
            if text.lstrip().startswith("[")
            else [json.loads(line) for line in text.splitlines() if line.strip()]
        )
        found = {_key(row.get("image", row.get("image_id"))): str(row["caption"] or "") for row in rows}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise DataError(
            f'cannot read captions from "{path}": {error!r}; '
            "pass the JSON lines of recaption caption or a COCO results JSON"
        ) from error
    texts = [found.get(example.path.name) or found.get(example.image_id) or "" for example in examples]
    if not any(texts):
        raise DataError(
            f'"{path}" captions none of the {len(texts)} photos; they are matched by file name or image_id'
        )
    failed = [example.path.name for example, text in zip(examples, texts, strict=True) if not text]
    return Captions(texts=texts, failed=dict.fromkeys(failed, f'no caption in "{path}"'))


def write_predictions(path: Path, examples: Sequence[Example], captions: Sequence[str]) -> None:
    """Captions as a COCO results JSON, the form that the reference scorer reads.

    Ids are those of the data, where it has any, as COCO's annotations do; elsewhere file names.
    """
    rows = [
        {"image_id": example.image_id, "caption": caption}
        for example, caption in zip(examples, captions, strict=True)
    ]
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _key(image: int | str | None) -> int | str:
    return image if isinstance(image, int) else Path(str(image)).name


def _rounded(scores: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, DIGITS) for name, value in scores.items()}
