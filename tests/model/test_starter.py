"""The checkpoint that ships with the package."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage
import torch
from torch.utils.flop_counter import FlopCounterMode

from model.checkpoint import file_sha256, load_checkpoint
from model.description import Description, read_description, starter_folder
from model.expected_words import best_captions
from model.predictor import Predictor
from model.transforms import frame
from pictures.decode import open_picture

# Photographs that come with scikit-image, and words of which a caption must have one to be about them.
PEOPLE = {"woman", "man", "girl", "boy", "person", "child"}
PACKAGED = {
    "astronaut.png": PEOPLE,
    "camera.png": PEOPLE,
    "motorcycle_left.png": {"motorcycle", "bike", "bicycle", "car"},
}


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.load(starter_folder(), device="cpu")


@pytest.fixture(scope="module")
def packaged() -> list[np.ndarray]:
    data = Path(skimage.__file__).parent / "data"
    return [open_picture(data / name).pixels for name in PACKAGED]


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
    assert description.name == "starter-5"
    assert "research" in description.licence.lower()
    assert "Apache-2.0" in description.licence
    assert description.lineage["training_photos"] == 6000


def test_it_is_as_good_as_it_was_asked_to_be(description: Description) -> None:
    measured = description.scores
    assert (measured["split"], measured["n"], measured["beam_size"]) == ("dev", 1000, 3)
    assert measured["scores"]["bleu1"] >= 0.675
    assert measured["scores"]["bleu4"] >= 0.235
    assert measured["scores"]["cider"] >= 0.57


def test_it_says_what_is_on_photographs(predictor: Predictor, packaged: list[np.ndarray]) -> None:
    said = {
        name: set(prediction.tokens)
        for name, prediction in zip(PACKAGED, predictor.predict(packaged), strict=True)
    }
    missed = {name: words for name, words in said.items() if not words & PACKAGED[name]}
    assert not missed


def test_its_decoder_is_small_beside_its_encoder(predictor: Predictor, packaged: list[np.ndarray]) -> None:
    """With 3 beams, at most 0.12 G multiply-adds a photo; the encoder takes 0.3 G."""
    captioner, described = load_checkpoint(starter_folder())
    features = predictor.encode([frame(pixels, described.preprocessing) for pixels in packaged])
    decoder = captioner.decoder.eval()
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        best_captions(
            decoder, features, captioner.expected_words, beam_size=3, max_length=20, length_penalty=0.7
        )
    assert 0.01e9 < counter.get_total_flops() / 2 / len(packaged) < 0.12e9


def test_it_writes_a_sentence_under_a_picture(predictor: Predictor, drawn: Callable[..., np.ndarray]) -> None:
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
