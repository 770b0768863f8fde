"""Two ways to cut captions into words: one to learn from, one to score with."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

Tokenize = Callable[[str], list[str]]

# The punctuation that the COCO caption scorer removes after tokenising.
SCORED_PUNCTUATION = frozenset(
    ["''", "'", "``", "`", "-lrb-", "-rrb-", "-lcb-", "-rcb-", ".", "?", "!", ",", ":", "-", "--", "...", ";"]
)


@cache
def _blank_english() -> Any:
    # Imported here: captioning needs no spaCy, and loading it takes a second.
    import spacy

    return spacy.blank("en")


def spacy_words(caption: str) -> list[str]:
    """Lowercased words of a caption to train on: no punctuation, hyphenated words kept whole.

    spaCy splits "t-shirt" in three and the scorer does not, so what a hyphen joins is joined again.
    """
    words: list[str] = []
    join = False
    for token in _blank_english()(caption.lower()):
        text = token.text.strip()
        hyphen = text == "-" and bool(words) and not token.whitespace_
        if (join and text) or (hyphen and not token.nbor(-1).whitespace_):
            words[-1] += text
        elif any(character.isalnum() for character in text):
            words.append(text)
        join = bool(words) and words[-1].endswith("-") and not token.whitespace_
    return [word.strip("-") for word in words]


TOKENIZERS: dict[str, Tokenize] = {"spacy": spacy_words}


_CONTRACTIONS = re.compile(
    r"\b(can)(not)\b|\b(gon|wan)(na)\b|\b(got)(ta)\b|\b(gim|lem)(me)\b|\b(d')(ye)\b|\b('t)(is|was)\b"
)
_PTB_WORD = re.compile(
    r"""
      \.\.\.                                # ellipsis
    | --+                                   # dashes
    | \d{1,2}:\d{2}                         # times
    | [-+]?\d+(?:[.,]\d+)*(?:st|nd|rd|th|s)?\b(?![-\w])   # numbers, ordinals
    | (?:[a-z]\.){2,}                       # u.s.
    | (?:mr|mrs|ms|dr|st|jr|sr|vs|etc)\.(?=\s+\S)         # abbreviations inside a sentence
    | n't\b | '(?:s|m|d|re|ve|ll|em|til|n)\b              # clitics, already cut off
    | \w+(?:[-'/&.@]\w+)*                   # words, with what joins their parts
    | ''|``|[^\w\s]                         # anything else by itself
    """,
    re.VERBOSE,
)
_CLITIC = re.compile(r"(?<=\w)(n't|'(?:s|m|d|re|ve|ll))\b")
_QUOTES = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "--", "\u2014": "--"}
)
_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "{": "-lcb-", "}": "-rcb-", "[": "-lsb-", "]": "-rsb-", '"': "''"}


def ptb_words(caption: str) -> list[str]:
    """Lowercased Penn-Treebank-style words without punctuation, as the COCO caption scorer compares them.

    Clitics are cut off ("dog's" -> "dog 's", "don't" -> "do n't"), hyphenated words stay whole.
    """
    text = caption.lower().translate(_QUOTES)
    text = _CONTRACTIONS.sub(lambda match: " ".join(part for part in match.groups() if part), text)
    text = _CLITIC.sub(r" \1", text)
    words = (_BRACKETS.get(word, word) for word in _PTB_WORD.findall(text))
    return [word for word in words if word not in SCORED_PUNCTUATION]
