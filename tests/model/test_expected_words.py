"""The words to expect, and captions ranked by them."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from model import expected_words
from model.decoders.attention_lstm import AttentionLSTM
from model.expected_words import RIDGE, ExpectedWords, best_captions
from model.search import Hypothesis, beam_search
from model.vocabulary import END, START

WORDS = 9
A, DOG, CAT, SNOW, BALL = range(4, WORDS)
SIZE = 6


def hypothesis(*tokens: int, score: float) -> Hypothesis:
    return Hypothesis(tokens, (0.5,) * len(tokens), score)


def unfitted(weight: float = 2.0) -> ExpectedWords:
    return ExpectedWords(feature_size=SIZE, vocabulary_size=WORDS, weight=weight)


def photos(
    count: int, *, shown: tuple[int, ...] = (DOG, CAT, SNOW), seed: int = 0
) -> tuple[Tensor, list[list[list[int]]]]:
    """Grids (M, 4, D) in which each thing that is shown has a feature of its own, and a caption of each."""
    random = np.random.default_rng(seed)
    grids = torch.tensor(random.normal(0, 0.05, (count, 4, SIZE)), dtype=torch.float32)
    captions = []
    for grid in grids:
        there = [word for word in shown if random.random() < 0.5]
        for word in there:
            grid[:, word - DOG] += 1
        captions.append([[START, A, *there, END], [START, *there, A, A, END]])
    return grids, captions


def fitted(weight: float = 2.0) -> ExpectedWords:
    words = unfitted(weight)
    grids, captions = photos(400)
    words.fit(grids.mean(dim=1), captions)
    return words


def test_before_it_is_fitted_nothing_is_ranked() -> None:
    found = [[hypothesis(A, DOG, score=-1.0), hypothesis(CAT, score=-1.5)], [hypothesis(A, score=-0.5)]]
    ranked = unfitted().rank(torch.randn(2, 4, SIZE), found)
    assert [[one.tokens for one in group] for group in ranked] == [[(A, DOG), (CAT,)], [(A,)]]
    assert [[one.score for one in group] for group in ranked] == [[-3.0, -3.5], [-2.5]]


def test_words_that_are_there_are_expected_in_photos_never_seen() -> None:
    grids, captions = photos(60, seed=1)
    told = fitted()(grids)
    for expected, (caption, _) in zip(told, captions, strict=True):
        there = [expected[word].item() for word in (DOG, CAT, SNOW) if word in caption]
        missing = [expected[word].item() for word in (DOG, CAT, SNOW) if word not in caption]
        assert min(there, default=1.0) > max(missing, default=0.0) + 0.1


def test_captions_that_use_them_come_first() -> None:
    grid = torch.zeros(1, 4, SIZE)
    grid[:, :, CAT - DOG] = 1
    (ranked,) = fitted().rank(grid, [[hypothesis(A, DOG, score=-1.0), hypothesis(A, CAT, score=-1.2)]])
    assert [one.tokens for one in ranked] == [(A, CAT), (A, DOG)]
    assert ranked[0].score > ranked[1].score
    (ranked,) = fitted(weight=0.05).rank(
        grid, [[hypothesis(A, DOG, score=-1.0), hypothesis(A, CAT, score=-1.2)]]
    )
    assert [one.tokens for one in ranked] == [(A, DOG), (A, CAT)]


def test_a_score_loses_what_its_cosine_lacks_of_one() -> None:
    words = unfitted(weight=3.0)
    words.rarity[[A, DOG, CAT]] = torch.tensor([0.1, 2.0, 1.0])
    words.usual[[DOG, BALL]] = torch.tensor([3.0, 4.0])
    ((ranked,),) = words.rank(torch.zeros(1, 4, SIZE), [[hypothesis(A, DOG, DOG, CAT, score=-1.0)]])
    cosine = 4.0 * 3.0 / (math.sqrt(0.1**2 + 4.0**2 + 1.0**2) * 5.0)
    assert ranked.score == pytest.approx(-1.0 - 3.0 * (1 - cosine), abs=1e-6)
    assert ranked.probabilities == (0.5,) * 4


def test_it_is_the_ridge_regression_of_least_squares(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a row of sqrt(RIDGE) for each weight, but for those of the constant."""
    monkeypatch.setattr(expected_words, "PHOTOS_AT_ONCE", 7)
    words, (grids, captions) = unfitted(), photos(40)
    means = grids.mean(dim=1)
    words.fit(means, captions)
    assert words.rarity[DOG] == pytest.approx(math.log(40 / sum(DOG in one for one, _ in captions)))
    assert not words.rarity[[START, END, BALL]].any()
    seen = torch.nn.functional.normalize(means - means.mean(dim=0)).double().numpy()
    targets = np.zeros((40, WORDS))
    for row, group in enumerate(captions):
        for ids in group:
            vector = np.bincount(ids, minlength=WORDS) * words.rarity.double().numpy()
            targets[row] += vector / (np.linalg.norm(vector) or 1) / len(group)
    left = np.block([[seen, np.ones((40, 1))], [math.sqrt(RIDGE) * np.eye(SIZE), np.zeros((SIZE, 1))]])
    solution, *_ = np.linalg.lstsq(left, np.concatenate([targets, np.zeros((SIZE, WORDS))]), rcond=None)
    assert np.allclose(words.layer.numpy(), solution[:-1].T, atol=1e-5)
    assert np.allclose(words.usual.numpy(), solution[-1], atol=1e-5)


def test_what_is_fitted_on_top_leaves_the_rest_as_it_was() -> None:
    words = fitted()
    before = {name: value.clone() for name, value in words.state_dict().items()}
    grids, captions = photos(80, shown=(DOG, BALL), seed=2)
    words.fit(grids.mean(dim=1), captions)
    assert torch.equal(words.centre, before["centre"])
    assert torch.equal(words.rarity[[A, DOG, CAT, SNOW]], before["rarity"][[A, DOG, CAT, SNOW]])
    assert words.rarity[BALL] > 0
    cat, ball = torch.zeros(1, 4, SIZE), torch.zeros(1, 4, SIZE)
    cat[:, :, CAT - DOG] = 1
    ball[:, :, BALL - DOG] = 1
    assert words(cat)[0, 4:].argmax() + 4 == CAT
    assert words(ball)[0, BALL] > words(cat)[0, BALL] + 0.1


@pytest.mark.parametrize("beam_size", [1, 3])
def test_captions_are_chosen_from_twice_as_many_but_for_greedy_search(beam_size: int) -> None:
    torch.manual_seed(4)
    decoder = AttentionLSTM(
        vocabulary_size=WORDS,
        feature_size=SIZE,
        embedding_size=8,
        hidden_size=8,
        attention_size=5,
        dropout=0.0,
    ).eval()
    decoder.embedding.weight.data *= 3
    decoder.bias.data[END] = 2
    grid, words = torch.randn(5, 4, SIZE), fitted(weight=20.0)
    how: dict[str, Any] = {"beam_size": beam_size, "max_length": 8, "length_penalty": 0.7}
    few = beam_search(decoder, decoder.begin(grid), **how)
    assert best_captions(decoder, grid, None, **how) == few
    found = best_captions(decoder, grid, words, **how)
    if beam_size == 1:
        assert [one.tokens for (one,) in found] == [one.tokens for (one,) in few]
        return
    many = words.rank(grid, beam_search(decoder, decoder.begin(grid), **how, count=6))
    assert found == [hypotheses[:3] for hypotheses in many]
    assert {len(hypotheses) for hypotheses in many} == {6}
    assert [one.tokens for one, *_ in found] != [one.tokens for one, *_ in words.rank(grid, few)]
