"""Words to train on, words to score, and the way back to a sentence."""

import pytest

from model.config import TextConfig
from model.text import finish
from model.tokenizer import TOKENIZERS, nltk_words, ptb_words, spacy_words


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
        ("A black dog , running .", "a black dog running"),
        ("The dog\u2019s ball doesn't bounce!", "the dog 's ball does n't bounce"),
        ("A man in a black-and-white t-shirt - alone", "a man in a black-and-white t-shirt alone"),
        ('He says "hi" (twice) at 5:30. A U.S. flag', "he says hi twice at 5:30 a u.s. flag"),
        ("...", ""),
    ],
)
def test_nltk_words_are_lowercased_and_without_punctuation(caption: str, words: str) -> None:
    assert TOKENIZERS["nltk"] is nltk_words
    assert nltk_words(caption) == words.split()


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("A black dog, running.", "a black dog running"),
        ("The dog\u2019s ball doesn't bounce; it can't.", "the dog 's ball does n't bounce it ca n't"),
        ('He says "hello" - twice -- ...', "he says hello twice"),
        ("A t-shirt at 5:30 p.m. for 1,000 men", "a t-shirt at 5:30 p.m. for 1,000 men"),
        ("I cannot see the boys' kite; 'tis GONNA fall", "i can not see the boys kite 't is gon na fall"),
        # The scorer's list of punctuation has brackets in capitals, its tokens are in small letters.
        ("A (red) [big] {box}", "a -lrb- red -rrb- -lsb- big -rsb- -lcb- box -rcb-"),
        ("Wow!!! Really?! Yes! Why?", "wow !!! really ?! yes why"),
        ("Mr. Fox vs. No. 5, Inc. no. End", "mr. fox vs. no. 5 inc. no end"),
        ("in Miss. a miss. On the Ark. an ark.", "in miss. a miss on the ark. an ark"),
        ("Vitamin C. bottle, letter B. The end", "vitamin c. bottle letter b the end"),
        ("grass.The dog", "grass.the dog"),
        ("a rock-caf\u00e9 \u2019til y's who'll fi'lm", "a rock-caf\u00e9 \u2019til y 's who 'll fi lm"),
        ("AT&T at&t R&B salt&pepper &amp;", "at&t at & t r&b salt & pepper &"),
        ("and/or 1/2 3/4/2020 wet / dry \u00bd", "and/or 1/2 3/4/2020 wet / dry 1/2"),
        ("$5 US$10 \u00a320 50% #1 -5", "$ 5 us$ 10 # 20 50 % # 1 -5"),
        ("rock 'n' roll o'clock ma'am O'Neil '90s 80's", "rock 'n' roll o'clock ma'am o'neil '90s 80 's"),
        ("a caf\u00e9-bar, se\u00f1or \u2014 \u2026 \u65e5\u672c", "a caf\u00e9-bar se\u00f1or \u65e5\u672c"),
        (
            "@zoo #fun me@zoo.org http://zoo.org/a?b. zoo.com",
            "@zoo #fun me@zoo.org http://zoo.org/a?b zoo.com",
        ),
        ("fun :) <b>bold</b> 3 < 5 C++", "fun :-rrb- <b> bold </b> 3 < 5 c++"),
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
