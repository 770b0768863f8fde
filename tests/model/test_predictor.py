"""From pixels to finished captions."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from model.config import TextConfig
from model.description import Preprocessing, read_description
from model.errors import CheckpointError, ModelError
from model.predictor import Predictor
from model.text import finish
from model.transforms import frame, normalise

Drawn = Callable[..., np.ndarray]


@pytest.fixture(scope="module")
def predictor(tiny_checkpoint: Path) -> Predictor:
    return Predictor.load(tiny_checkpoint, device="cpu")


@pytest.fixture(scope="module")
def photos(drawn: Drawn) -> list[np.ndarray]:
    return [drawn(number, width=60 + 31 * number, height=200 - 23 * number) for number in range(6)]


def test_a_prediction_is_a_finished_sentence_with_its_words(
    predictor: Predictor, photos: list[np.ndarray]
) -> None:
    for prediction in predictor.predict(photos):
        assert prediction.text == finish(prediction.tokens, TextConfig())
        assert len(prediction.tokens) == len(prediction.token_probabilities)
        assert all(0 < probability <= 1 for probability in prediction.token_probabilities)
        assert prediction.score <= 0


def test_alternatives_are_other_captions_with_lower_scores(
    predictor: Predictor, photos: list[np.ndarray]
) -> None:
    for prediction in predictor.predict(photos):
        scores = [prediction.score, *(other.score for other in prediction.alternatives)]
        assert scores == sorted(scores, reverse=True)
        assert (
            len({prediction.text, *(other.text for other in prediction.alternatives)}) == predictor.beam_size
        )


def test_a_batch_of_photos_gets_the_captions_of_each_by_itself(
    predictor: Predictor, photos: list[np.ndarray]
) -> None:
    together = predictor.predict(photos)
    alone = [predictor.predict([pixels])[0] for pixels in photos]
    assert [p.text for p in together] == [p.text for p in alone]
    assert [p.score for p in together] == pytest.approx([p.score for p in alone], abs=1e-3)


def test_the_beam_size_is_the_checkpoints_unless_given(tiny_checkpoint: Path, predictor: Predictor) -> None:
    assert predictor.beam_size == read_description(tiny_checkpoint).recipe.search.beam_size
    assert Predictor.load(tiny_checkpoint, device="cpu", beam_size=1).beam_size == 1
    with pytest.raises(ModelError, match="beam size 1000"):
        Predictor.load(tiny_checkpoint, device="cpu", beam_size=1000)


def test_no_photos_get_no_captions(predictor: Predictor) -> None:
    assert predictor.predict([]) == []


def test_a_missing_checkpoint_and_a_missing_device_are_named(tmp_path: Path, tiny_checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no checkpoint\.json"):
        Predictor.load(tmp_path, device="cpu")
    with pytest.raises(ModelError, match="unknown device"):
        Predictor.load(tiny_checkpoint, device="abacus")
    if not torch.cuda.is_available():
        with pytest.raises(ModelError, match="sees no GPU"):
            Predictor.load(tiny_checkpoint, device="cuda")


def test_framing_squashes_any_photo_to_a_square_and_leaves_that_size_alone(drawn: Drawn) -> None:
    preprocessing = Preprocessing(size=64)
    assert frame(drawn(1, width=300, height=100), preprocessing).shape == (3, 64, 64)
    square = drawn(1, width=64, height=64)
    assert np.array_equal(frame(square, preprocessing).permute(1, 2, 0).numpy(), square)


def test_framing_averages_what_it_shrinks() -> None:
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    shrunk = frame(stripes, Preprocessing(size=64)).float()
    assert shrunk.mean().item() == pytest.approx(127.5, abs=2)
    assert shrunk.std().item() < 4


def test_pixels_are_normalised_by_channel() -> None:
    pixels = torch.tensor([0, 255, 51], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 64, 64)
    preprocessing = Preprocessing(size=64, mean=(0.5, 0.5, 0.2), std=(0.5, 0.25, 1.0))
    assert normalise(pixels, preprocessing)[0, :, 0, 0].tolist() == pytest.approx([-1, 2, 0], abs=1e-6)
