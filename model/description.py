"""What a checkpoint says about itself: the JSON beside its weights. Needs no PyTorch."""

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from model.config import CHOICES, Recipe, recipe_from_dict, recipe_to_dict
from model.errors import CheckpointError, ModelError
from model.vocabulary import Vocabulary

FORMAT = 1
DESCRIPTION_FILE = "checkpoint.json"
WEIGHTS_FILE = "weights.safetensors"

MAX_FILE_BYTES = 32 * 2**20
MAX_WORDS = 200_000
MAX_WORD_LENGTH = 100
MAX_CALIBRATION = 1000.0
SURE = 1e-6  # as near to 0 or 1 as the probability of a word is taken for


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Side in pixels, framing, and the channel means and deviations of pixels scaled to 0..1."""

    size: int = 224
    framing: str = "squash"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """From a caption's score to the share of its words that people would have chosen, or from the
    log-odds of a word to the chance that they would have chosen it; strictly increasing.

    A sigmoid of two numbers: Platt, "Probabilistic Outputs for Support Vector Machines", 1999. Raises
    ModelError for a slope that is not above zero and for numbers out of bounds.
    """

    slope: float
    bias: float

    def __post_init__(self) -> None:
        if not (0 < self.slope <= MAX_CALIBRATION and abs(self.bias) <= MAX_CALIBRATION):
            raise ModelError(
                f"a calibration of slope {self.slope} and bias {self.bias} is out of bounds; the slope must "
                f"lie above 0, and both within {MAX_CALIBRATION:g}"
            )

    def confidence(self, score: float) -> float:
        """The confidence 0..1 at this score: 0.71 is about 71 of 100 words that people chose."""
        # A sigmoid, written so that no exponential can overflow.
        return 0.5 * (1 + math.tanh(0.5 * (self.slope * score + self.bias)))


@dataclass(frozen=True, kw_only=True)
class Description:
    """All of a checkpoint but its weights; `weights_sha256` ties the two files together.

    Without a calibration its captions have a score and no confidence, and without a word calibration its
    words have a probability and no confidence.
    """

    name: str
    recipe: Recipe
    vocabulary: Vocabulary
    preprocessing: Preprocessing
    calibration: Calibration | None = None
    word_calibration: Calibration | None = None
    scores: Mapping[str, Any] = field(default_factory=dict)
    lineage: Mapping[str, Any] = field(default_factory=dict)
    licence: str = ""
    weights_sha256: str = ""


def log_odds(probability: float) -> float:
    """The log-odds of a word, finite also where the network is sure: what its confidence is fitted by."""
    kept = min(max(probability, SURE), 1 - SURE)
    return math.log(kept / (1 - kept))


def starter_folder() -> Path:
    """The checkpoint that ships inside the package."""
    return Path(str(resources.files("model") / "starter"))


def read_description(folder: Path) -> Description:
    """Read and check `checkpoint.json` of a folder.

    Raises CheckpointError for a missing or damaged file, one of a newer format, or values out of bounds.
    """
    path = folder / DESCRIPTION_FILE
    if not path.is_file():
        raise CheckpointError(
            f'checkpoint folder "{folder}" has no {DESCRIPTION_FILE}; '
            "pass a folder written by recaption train"
        )
    if path.stat().st_size > MAX_FILE_BYTES:
        raise CheckpointError(f'"{path}" is larger than {MAX_FILE_BYTES // 2**20} MB; it is no description')
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f'"{path}" is not JSON: {error}') from error
    if not isinstance(content, dict) or not isinstance(content.get("format"), int):
        raise CheckpointError(f'"{path}" does not describe a checkpoint')
    if content["format"] > FORMAT:
        raise CheckpointError(
            f'"{path}" has format {content["format"]}, written by a newer Recaption; '
            f"this one reads formats up to {FORMAT}"
        )
    try:
        return _from_json(content, str(path))
    except CheckpointError:
        raise
    except (ModelError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f'"{path}" is damaged: {error}') from error


def description_to_json(description: Description) -> str:
    """The text of `checkpoint.json`."""
    content = {
        "format": FORMAT,
        "name": description.name,
        "recipe": recipe_to_dict(description.recipe),
        "preprocessing": dataclasses.asdict(description.preprocessing),
        "calibration": _numbers(description.calibration),
        "word_calibration": _numbers(description.word_calibration),
        "scores": description.scores,
        "lineage": description.lineage,
        "licence": description.licence,
        "weights_sha256": description.weights_sha256,
        "vocabulary": description.vocabulary.words,
    }
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def _numbers(calibration: Calibration | None) -> dict[str, float] | None:
    return dataclasses.asdict(calibration) if calibration else None


def _from_json(content: dict[str, Any], source: str) -> Description:
    return Description(
        name=_text(content["name"], "name"),
        recipe=recipe_from_dict(content["recipe"], source=source),
        vocabulary=_vocabulary(content["vocabulary"]),
        preprocessing=_preprocessing(content["preprocessing"]),
        calibration=_calibration(content.get("calibration")),
        word_calibration=_calibration(content.get("word_calibration")),
        scores=dict(content["scores"]),
        lineage=dict(content["lineage"]),
        licence=_text(content["licence"], "licence"),
        weights_sha256=_digest(content["weights_sha256"]),
    )


def _vocabulary(words: Any) -> Vocabulary:
    if not isinstance(words, list) or len(words) > MAX_WORDS:
        raise ValueError(f"vocabulary must be a list of at most {MAX_WORDS} words")
    if not all(isinstance(word, str) and 0 < len(word) <= MAX_WORD_LENGTH for word in words):
        raise ValueError(f"a word of the vocabulary is no text of 1 to {MAX_WORD_LENGTH} characters")
    return Vocabulary(tuple(words))


def _preprocessing(content: Mapping[str, Any]) -> Preprocessing:
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}
    preprocessing = Preprocessing(**values)
    if type(preprocessing.size) is not int or not 32 <= preprocessing.size <= 1024:
        raise ValueError(f"preprocessing.size is {preprocessing.size!r}; it must lie between 32 and 1024")
    if preprocessing.framing not in CHOICES["data.framing"]:
        raise ValueError(f"preprocessing.framing {preprocessing.framing!r} is unknown")
    for numbers in (preprocessing.mean, preprocessing.std):
        if len(numbers) != 3 or not all(isinstance(n, float) and abs(n) < 1000 for n in numbers):
            raise ValueError("preprocessing.mean and .std must be three numbers each")
    if min(preprocessing.std) <= 0:
        raise ValueError("preprocessing.std must be above zero")
    return preprocessing


def _calibration(content: Mapping[str, Any] | None) -> Calibration | None:
    return None if content is None else Calibration(**content)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or len(value) > 10_000:
        raise ValueError(f"{name} must be a text of at most 10,000 characters")
    return value


def _digest(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{64}", value):
        raise ValueError("weights_sha256 must be 64 hexadecimal digits")
    return value
