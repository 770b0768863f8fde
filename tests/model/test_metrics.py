"""Scores: held to those of the reference scorer, and on captions of our own worked out by hand."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.metrics import (
    SCORES,
    Scorer,
    bleu4,
    cider,
    corpus_scores,
    human_scores,
    named,
    rouge_l,
    tokenized,
)
from model.tokenizer import ptb_words

FROZEN = json.loads((Path(__file__).parent / "fixtures" / "coco_caption_scores.json").read_text("utf-8"))
SETS = ["one to five references", "five references"]


def words(*captions: str) -> list[list[str]]:
    return [caption.split() for caption in captions]


def bleu(captions: list[list[str]], references: list[list[list[str]]]) -> dict[str, float]:
    return named(corpus_scores(Scorer(references).statistics(captions)))


def score_captions(captions: list[str], references: list[list[str]]) -> dict[str, float]:
    return bleu([ptb_words(caption) for caption in captions], tokenized(references))


@pytest.mark.parametrize("name", SETS)
def test_all_scores_are_those_of_the_reference_scorer(name: str) -> None:
    images: list[dict[str, Any]] = FROZEN[name]["images"]
    scores = score_captions([i["caption"] for i in images], [i["references"] for i in images])
    assert list(scores) == list(SCORES)
    assert scores == pytest.approx(FROZEN[name]["scores"], abs=1e-4)


@pytest.mark.parametrize("name", SETS)
def test_rouge_and_cider_of_each_image_are_those_of_the_reference_scorer(name: str) -> None:
    images: list[dict[str, Any]] = FROZEN[name]["images"]
    scorer = Scorer(tokenized([image["references"] for image in images]))
    statistics = scorer.statistics([ptb_words(image["caption"]) for image in images])
    assert statistics[:, 10] == pytest.approx([image["rouge_l"] for image in images], abs=1e-4)
    assert statistics[:, 11] == pytest.approx([image["cider"] for image in images], abs=1e-4)


@pytest.mark.parametrize("name", SETS)
def test_scored_words_are_those_of_the_reference_tokeniser(name: str) -> None:
    for image in FROZEN[name]["images"]:
        texts = [image["caption"], *image["references"]]
        frozen = [image["caption_tokens"], *image["reference_tokens"]]
        assert [" ".join(ptb_words(text)) for text in texts] == frozen


def test_an_image_that_is_weighted_twice_counts_like_two_images() -> None:
    references = [words("a dog runs on wet sand", "one dog"), words("two men in a boat")]
    captions = words("a dog runs on grass", "two men sit in a boat")
    statistics = Scorer(references).statistics(captions)
    weighted = corpus_scores(statistics, np.array([[2.0, 1.0]]))
    assert weighted[0] == pytest.approx(corpus_scores(statistics[[0, 0, 1]]))


def test_a_caption_equal_to_a_reference_gets_full_marks() -> None:
    captions = ["A dog runs on the beach.", "Two men sit in a small boat!"]
    references = [["a dog runs on the beach", "a wet dog"], ["Two men sit in a small boat", "men fishing"]]
    scores = score_captions(captions, references)
    assert [scores[name] for name in ("bleu1", "bleu4", "rouge_l")] == pytest.approx([1, 1, 1])


def test_bleu_clips_counts_and_takes_precision_over_the_corpus() -> None:
    # 7 words, of which "the" counts twice; 6 bigrams, none of them right.
    scores = bleu(words("the the the the the the the"), [words("the cat is on the mat")])
    assert scores["bleu1"] == pytest.approx(2 / 7)
    assert scores["bleu2"] == 0
    # Two captions: 3 of 4 and 1 of 2 words are right, together 4 of 6, the mean of ratios would be 0.625.
    scores = bleu(words("a dog runs fast", "a bird"), [words("a dog runs home"), words("a cat")])
    assert scores["bleu1"] == pytest.approx(4 / 6)
    assert scores["bleu2"] == pytest.approx(math.sqrt(4 / 6 * 2 / 4))


@pytest.mark.parametrize(
    ("references", "closest"),
    [
        (["a b c d e f", "a b"], 2),  # both differ by two: the shorter one counts, no penalty
        (["a b c d e f", "a b c d e"], 5),
        (["a b c"], 3),
    ],
)
def test_bleu_takes_the_closest_reference_length_and_of_equals_the_shorter(
    references: list[str], closest: int
) -> None:
    penalty = min(1.0, math.exp(1 - closest / 4)) if closest > 4 else 1.0
    score = bleu(words("a b c d"), [words(*references)])["bleu1"]
    matches = 3 / 4 if references == ["a b c"] else 1.0
    assert score == pytest.approx(matches * penalty)


def test_bleu_takes_references_of_different_number() -> None:
    scores = bleu(words("a dog", "a cat"), [words("a dog", "one dog", "the dog"), words("a cat")])
    assert scores["bleu2"] == pytest.approx(1)


def test_rouge_takes_the_best_precision_and_the_best_recall_each_by_itself() -> None:
    # Of the first reference all 2 words are found; of the second 3, which are 3 of the 4 words written.
    score = rouge_l(["a", "big", "dog", "runs"], words("a dog", "the a very big cat runs"))
    precision, recall = 3 / 4, 1.0
    assert score == pytest.approx((1 + 1.44) * precision * recall / (recall + 1.44 * precision))


def test_rouge_of_nothing_in_common_is_zero() -> None:
    assert rouge_l(["a", "dog"], words("two men")) == 0
    assert rouge_l([], words("two men")) == 0


def test_cider_of_the_reference_itself_is_ten() -> None:
    captions = words("a dog runs on sand", "two men in boats")
    assert cider(captions, [[caption] for caption in captions]) == pytest.approx(10)


def test_cider_by_hand() -> None:
    # Four images; "a" stands under all of them and weighs log(4/4) = 0, all others stand under one.
    references = [words("a dog runs"), words("a cat sits"), words("a man swims"), words("a car stops")]
    hypotheses = words("a dog sleeps", "a cat sits", "a man swims", "a car stops")
    rare = math.log(4)
    # First image: unigrams {dog, sleeps} and {dog, runs} share one of two, bigrams {a dog, dog sleeps}
    # and {a dog, dog runs} too; the trigrams differ, there is no 4-gram. Equal lengths: no penalty.
    unigrams = rare * rare / (math.sqrt(2) * rare) ** 2
    bigrams = unigrams
    first = 10 * (unigrams + bigrams + 0 + 0) / 4
    # The others are equal to their reference in the three orders that three words have.
    assert cider(hypotheses, references) == pytest.approx((first + 3 * 7.5) / 4)


def test_cider_punishes_length_by_the_bigrams() -> None:
    references = [words("a dog"), words("two men")]
    # "dog dog dog dog" has 3 bigrams against 1; clipping leaves the one "dog" that the reference has.
    rare = math.log(2)
    clipped = rare * rare / (4 * rare * math.sqrt(2) * rare)
    expected = 10 * clipped * math.exp(-(2**2) / (2 * 6**2)) / 4
    assert cider(words("dog dog dog dog", "zebra"), references) == pytest.approx(expected / 2)


def test_an_empty_caption_scores_nothing_and_breaks_nothing() -> None:
    scores = score_captions(["", ""], [["a dog"], ["a cat"]])
    assert set(scores.values()) == {0.0}


def test_people_are_scored_against_the_other_people() -> None:
    agreed = [["a dog runs on sand"] * 3, ["two men in a boat"] * 3]
    scores = human_scores(tokenized(agreed))
    assert scores is not None
    assert scores["bleu4"] == pytest.approx(1)
    assert human_scores([words("a dog"), words("a cat")]) is None
    assert human_scores([words("a dog"), words("a cat", "cat", "cats")]) is None


def test_people_are_scored_in_as_many_turns_as_the_fewest_references_allow() -> None:
    first, more = words("a dog runs", "a dog jumps"), words("a cat sits", "a cat sleeps")
    even = human_scores([first, more])
    uneven = human_scores([first, [*more, *words("the sea")]])
    assert even is not None
    assert uneven is not None
    assert uneven["bleu1"] == even["bleu1"]
    assert uneven["cider"] < even["cider"]


def test_bleu_of_one_caption_counts_one_more_of_each_order_but_the_first() -> None:
    scored = bleu4(["a", "dog", "runs", "here"], [["a", "dog", "runs", "there"], ["cats"]])
    assert scored == pytest.approx((3 / 4 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)
    assert bleu4(["a", "dog"], [["cats"]]) == bleu4([], [["cats"]]) == 0.0
