"""`recaption evaluate`: the captions of a split, scored against its references."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from model.captioner import TrainedPart
from model.captioning import caption_photos
from model.config import TextConfig
from model.data import Example
from model.errors import DataError
from model.metrics import TOKENIZER, human_scores, score_captions
from model.predictor import Predictor
from model.search import beam_search
from model.text import finish
from model.vocabulary import Vocabulary

DIGITS = 6


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Scores of one caption a photo and what makes them comparable; `human` is people against each other."""

    split: str
    n: int
    references: int | float
    tokenizer: str
    beam_size: int | None
    scores: dict[str, float]
    human: dict[str, float] | None


def evaluate(
    split: str, examples: Sequence[Example], captions: Sequence[str], *, beam_size: int | None
) -> Evaluation:
    """Score captions, in the order of the examples; "" is a caption that gets everything wrong."""
    references = [example.captions for example in examples]
    mean = sum(map(len, references)) / len(references)
    human = human_scores(references)
    return Evaluation(
        split=split,
        n=len(examples),
        references=int(mean) if mean.is_integer() else round(mean, 2),
        tokenizer=TOKENIZER,
        beam_size=beam_size,
        scores=_rounded(score_captions(captions, references)),
        human=_rounded(human) if human else None,
    )


def predict_captions(
    predictor: Predictor, examples: Sequence[Example], *, batch_size: int = 64, progress: bool = False
) -> list[str]:
    """The best caption of each photo, read from its file; "" where that cannot be read."""
    captions: list[str] = []
    images = [str(example.path) for example in examples]
    with tqdm(total=len(images), unit="photo", disable=not progress) as bar:
        for batch in caption_photos(predictor, images, batch_size=batch_size):
            captions += [photo.caption or "" for photo in batch]
            bar.update(len(batch))
    return captions


def read_captions(path: Path, examples: Sequence[Example]) -> list[str]:
    """Anybody's captions by file name: the JSON lines of `recaption caption`, or a COCO results JSON.

    Photos without a caption get "". Raises DataError for another kind of file, and when no photo has one.
    """
    try:
        text = path.read_text(encoding="utf-8")
        rows = (
            json.loads(text)
            if text.lstrip().startswith("[")
            else [json.loads(line) for line in text.splitlines()]
        )
        found = {Path(str(row.get("image", row.get("image_id")))).name: row["caption"] or "" for row in rows}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise DataError(f'cannot read captions from "{path}": {error!r}') from error
    if not any(example.path.name in found for example in examples):
        raise DataError(
            f'"{path}" captions none of the {len(examples)} photos; they are matched by file name'
        )
    return [found.get(example.path.name, "") for example in examples]


def write_predictions(path: Path, examples: Sequence[Example], captions: Sequence[str]) -> None:
    """Captions as a COCO results JSON, the form that the reference scorer reads; ids are file names."""
    rows = [
        {"image_id": example.path.name, "caption": caption}
        for example, caption in zip(examples, captions, strict=True)
    ]
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


@torch.inference_mode()
def caption_features(
    part: TrainedPart,
    features: np.ndarray,
    *,
    vocabulary: Vocabulary,
    text: TextConfig,
    device: torch.device,
    beam_size: int,
    max_length: int,
    length_penalty: float,
    batch_size: int = 128,
) -> list[str]:
    """The best caption of each photo in cached feature maps (n, h, w, C)."""
    captions: list[str] = []
    for start in range(0, len(features), batch_size):
        maps = torch.from_numpy(features[start : start + batch_size].astype(np.float32)).permute(0, 3, 1, 2)
        found = beam_search(
            part.decoder,
            part.grid(maps.to(device)),
            beam_size=beam_size,
            max_length=max_length,
            length_penalty=length_penalty,
        )
        captions += [finish(vocabulary.decode(hypotheses[0].tokens), text) for hypotheses in found]
    return captions


def _rounded(scores: dict[str, Any]) -> dict[str, float]:
    return {name: round(value, DIGITS) for name, value in scores.items()}
