"""Words to train on, words to score, and the way back to a sentence."""

import pytest

from model.config import TextConfig
from model.text import finish
from model.tokenizer import ptb_words, spacy_words


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("A black dog , running .", "a black dog running"),
        ("The dog's ball doesn't bounce!", "the dog 's ball does n't bounce"),
        ("A man in a t-shirt - and a hat", "a man in a t-shirt and a hat"),
        ("a black-and-white photo", "a black-and-white photo"),
        ("  Two\tmen\n run ", "two men run"),
        ("...", ""),
    ],
)
def test_training_words_are_lowercased_and_without_punctuation(caption: str, words: str) -> None:
    assert spacy_words(caption) == words.split()


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("A black dog, running.", "a black dog running"),
        ("The dog\u2019s ball doesn't bounce; it can't.", "the dog 's ball does n't bounce it ca n't"),
        ('He says "hello" (twice) ...', "he says hello twice"),
        ("A t-shirt - black -- at 5:30 for 1,000 men", "a t-shirt black at 5:30 for 1,000 men"),
        ("I cannot see the boys' kite", "i can not see the boys kite"),
        ("", ""),
    ],
)
def test_scored_words_follow_the_penn_treebank(caption: str, words: str) -> None:
    assert ptb_words(caption) == words.split()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("a dog runs", "A dog runs."),
        ("the dog 's ball does n't bounce", "The dog's ball doesn't bounce."),
        ("a dog , a cat and a t - shirt", "A dog, a cat and a t-shirt."),
        ("a sign ( red ) says stop !", "A sign (red) says stop!"),
        ("and i run", "And I run."),
        ("", ""),
    ],
)
def test_finished_text_reads_like_a_typed_sentence(words: str, sentence: str) -> None:
    assert finish(words.split(), TextConfig()) == sentence


def test_the_text_style_of_the_recipe_is_followed() -> None:
    assert finish(["a", "dog"], TextConfig(capital=False, final_stop=False)) == "a dog"


@pytest.mark.parametrize("caption", ["a man 's t-shirt", "two dogs run", "it does n't fly"])
def test_finishing_a_sentence_changes_no_scored_word(caption: str) -> None:
    assert ptb_words(finish(caption.split(), TextConfig())) == caption.split()
