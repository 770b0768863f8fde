"""Confidence: fitted to what people wrote, and measured against it."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from model.calibration import Chosen, certainty, fit, fit_words, word_error
from model.description import Calibration, log_odds
from model.errors import ModelError
from model.metrics import Scorer, chosen_words_of_each, tokenized
from model.tokenizer import ptb_words

WORDS = ("dog", "cat", "boat", "tree", "road", "hill", "lamp", "fish", "shoe", "bell")


def drawn(count: int, slope: float, bias: float) -> tuple[list[float], list[str], list[list[str]]]:
    """Scores, captions of ten words, and a reference each that shares as many as the score makes likely."""
    random = torch.Generator().manual_seed(4)
    scores = -3 * torch.rand(count, generator=random)
    chosen = torch.rand(count, len(WORDS), generator=random) < torch.sigmoid(slope * scores + bias)[:, None]
    references = [
        [" ".join(word if kept else "nothing" for word, kept in zip(WORDS, row, strict=True))]
        for row in chosen.tolist()
    ]
    return scores.tolist(), [" ".join(WORDS)] * count, references


def statistics(captions: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    return Scorer(tokenized(references)).statistics([ptb_words(caption) for caption in captions])


def test_a_fit_finds_the_curve_that_the_words_were_drawn_from() -> None:
    scores, captions, references = drawn(2000, slope=1.5, bias=2.0)
    found = fit(scores, statistics(captions, references))
    assert found.slope == pytest.approx(1.5, abs=0.1)
    assert found.bias == pytest.approx(2.0, abs=0.1)


def test_confidence_rises_with_the_score_even_where_the_captions_say_otherwise() -> None:
    scores, captions, references = drawn(200, slope=-2.0, bias=0.0)
    found = fit(scores, statistics(captions, references))
    confidences = [found.confidence(score) for score in (-4.0, -2.0, -1.0, -0.5, 0.0)]
    assert confidences == sorted(set(confidences))
    assert all(0 < confidence < 1 for confidence in confidences)


def test_captions_that_are_all_right_or_all_wrong_get_usable_numbers() -> None:
    right = fit([-0.1, -0.2, -0.4], statistics(["a dog"] * 3, [["a dog"]] * 3))
    wrong = fit([-0.1, -0.2, -0.4], statistics(["a dog"] * 3, [["two men"]] * 3))
    assert 0.8 < right.confidence(-0.2) < 1
    assert 0 < wrong.confidence(-0.2) < 0.2


def test_no_score_is_too_low_for_a_confidence() -> None:
    assert Calibration(slope=1000.0, bias=0.0).confidence(-1e6) == 0
    assert Calibration(slope=1000.0, bias=0.0).confidence(0.0) == 0.5


@pytest.mark.parametrize(
    ("slope", "bias"), [(0.0, 0.0), (-1.0, 0.0), (1e9, 0.0), (1.0, -1e9), (float("nan"), 0.0)]
)
def test_a_calibration_out_of_bounds_is_refused(slope: float, bias: float) -> None:
    with pytest.raises(ModelError, match="out of bounds"):
        Calibration(slope=slope, bias=bias)


def test_a_word_counts_as_often_as_one_person_used_it() -> None:
    references = [["A dog and a cat.", "Two dogs."], ["Snow"], ["A red boat"]]
    captions = ["A dog, a dog!", "", "The t-shirt is red"]
    assert chosen_words_of_each(statistics(captions, references)).tolist() == [0.75, 0, 0.25]


def test_certainty_tells_the_best_tenth_from_the_worst() -> None:
    scores, captions, references = drawn(200, slope=3.0, bias=3.0)
    sharp = Calibration(slope=3.0, bias=3.0)
    measured = certainty([sharp.confidence(score) for score in scores], statistics(captions, references))
    assert measured.most_certain_cider > 2 * measured.least_certain_cider
    assert measured.calibration_error < 0.05


def test_the_calibration_error_is_the_distance_between_confidence_and_share() -> None:
    rows = statistics(["a dog runs here"] * 20, [["a dog sits"]] * 20)
    assert certainty([0.5] * 20, rows).calibration_error == 0
    assert certainty([0.9] * 20, rows).calibration_error == 0.4
    assert certainty([0.3] * 10 + [0.7] * 10, rows).calibration_error == 0.2
    assert certainty([0.4, 0.8], rows[:2]).calibration_error == 0.2


def test_a_fit_of_words_finds_the_curve_that_they_were_drawn_from() -> None:
    random = torch.Generator().manual_seed(5)
    odds = 6 * torch.rand(20_000, generator=random) - 3
    chosen = torch.rand(len(odds), generator=random) < torch.sigmoid(0.5 * odds + 0.4)
    found = fit_words(Chosen(log_odds=odds.tolist(), chosen=chosen.tolist()))
    assert found.slope == pytest.approx(0.5, abs=0.05)
    assert found.bias == pytest.approx(0.4, abs=0.05)


def test_fitted_words_are_nearer_to_the_truth_than_what_the_network_says_on_words_that_were_not_seen() -> (
    None
):
    random = torch.Generator().manual_seed(6)
    odds = 8 * torch.rand(4000, generator=random) - 2
    chosen = (torch.rand(len(odds), generator=random) < torch.sigmoid(0.3 * odds)).tolist()
    half = len(chosen) // 2
    found = fit_words(Chosen(log_odds=odds[:half].tolist(), chosen=chosen[:half]))
    raw = word_error(torch.sigmoid(odds[half:]).tolist(), chosen[half:])
    fitted = word_error([found.confidence(one) for one in odds[half:].tolist()], chosen[half:])
    assert fitted < 0.04 < 0.1 < raw


def test_words_that_are_all_right_get_usable_numbers() -> None:
    found = fit_words(Chosen(log_odds=[log_odds(1.0), log_odds(0.4)], chosen=[True, True]))
    assert 0.8 < found.confidence(log_odds(0.9)) < 1


def test_no_probability_is_beyond_log_odds() -> None:
    assert log_odds(0.5) == 0
    assert log_odds(0.0) == pytest.approx(-log_odds(1.0))
    assert -20 < log_odds(0.0) < -10
