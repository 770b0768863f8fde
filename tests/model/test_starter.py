"""The checkpoint that ships with the package."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from model.checkpoint import file_sha256
from model.description import Description, read_description, starter_folder
from model.predictor import Predictor


@pytest.fixture(scope="module")
def description() -> Description:
    return read_description(starter_folder())


def test_the_shipped_weights_are_the_ones_described(description: Description) -> None:
    weights = starter_folder() / "weights.safetensors"
    assert file_sha256(weights) == description.weights_sha256
    assert weights.stat().st_size <= 20 * 10**6


def test_the_model_card_names_the_shipped_weights(description: Description) -> None:
    card = Path(__file__).parents[2] / "docs" / "model-card.md"
    assert description.weights_sha256 in card.read_text(encoding="utf-8")


def test_it_says_what_it_was_made_of_and_what_it_may_be_used_for(description: Description) -> None:
    assert description.name == "starter"
    assert "research" in description.licence.lower()
    assert "Apache-2.0" in description.licence
    assert description.lineage["training_photos"] == 6000


def test_it_is_as_good_as_it_was_asked_to_be(description: Description) -> None:
    measured = description.scores
    assert (measured["split"], measured["n"], measured["beam_size"]) == ("dev", 1000, 3)
    assert measured["scores"]["bleu1"] >= 0.62
    assert measured["scores"]["bleu4"] >= 0.20


def test_it_writes_a_sentence_under_a_picture(drawn: Callable[..., np.ndarray]) -> None:
    predictor = Predictor.load(starter_folder(), device="cpu")
    meadow = np.full((240, 320, 3), (80, 160, 60), np.uint8)
    meadow[:120] = (120, 180, 250)
    for prediction in predictor.predict([meadow, drawn(1)], attention=True):
        assert prediction.text[0].isupper()
        assert prediction.text.endswith(".")
        assert 4 <= len(prediction.tokens) <= 20
        assert len(prediction.alternatives) == 2
        assert prediction.confidence is not None
        assert 0.2 < prediction.confidence < 0.8
        assert prediction.attention is not None
        assert prediction.attention.shape == (len(prediction.tokens), 7, 7)
