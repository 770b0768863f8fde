"""The vocabulary."""

import pytest

from model.errors import ModelError
from model.vocabulary import END, PAD, SPECIALS, START, UNK, Vocabulary

CAPTIONS = [["a", "dog"], ["a", "cat"], ["a", "dog", "runs"]]


def test_the_specials_come_first() -> None:
    assert (PAD, START, END, UNK) == (0, 1, 2, 3)
    assert Vocabulary.build(CAPTIONS, min_count=1).words[:4] == SPECIALS


def test_rare_words_are_left_out_and_frequent_ones_come_first() -> None:
    assert Vocabulary.build(CAPTIONS, min_count=2).words[4:] == ("a", "dog")
    assert Vocabulary.build(CAPTIONS, min_count=1).words[4:] == ("a", "dog", "cat", "runs")


def test_encoding_marks_both_ends_and_unknown_words() -> None:
    vocabulary = Vocabulary.build(CAPTIONS, min_count=2)
    assert vocabulary.encode(["a", "zebra"], max_length=5) == [START, 4, UNK, END]


def test_a_long_caption_is_cut_without_claiming_to_end() -> None:
    vocabulary = Vocabulary.build(CAPTIONS, min_count=1)
    assert vocabulary.encode(["a", "dog", "runs"], max_length=2) == [START, 4, 5]
    assert vocabulary.encode(["a", "dog"], max_length=2) == [START, 4, 5, END]


def test_decoding_stops_at_the_end_and_skips_specials() -> None:
    vocabulary = Vocabulary.build(CAPTIONS, min_count=1)
    assert vocabulary.decode([START, 4, UNK, 5, END, 6]) == ["a", "dog"]


def test_new_words_extend_a_vocabulary_and_old_ids_stay() -> None:
    old = Vocabulary.build(CAPTIONS, min_count=1)
    new = old.extended([["a", "zebra"], ["zebra"]], min_count=2)
    assert new.words == (*old.words, "zebra")


def test_a_vocabulary_without_specials_or_with_a_word_twice_is_refused() -> None:
    with pytest.raises(ModelError, match="must begin with <pad>"):
        Vocabulary(("a", "dog"))
    with pytest.raises(ModelError, match="twice"):
        Vocabulary((*SPECIALS, "dog", "dog"))
