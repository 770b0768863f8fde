"""Word edits: how much two texts differ, in words put in, taken out or replaced."""

from collections.abc import Sequence

from catalog.captions import words


def word_edits(before: str, after: str) -> int:
    """The words that it takes to make one text the other; case and punctuation are no words.

    Levenshtein, "Binary codes capable of correcting deletions, insertions, and reversals", 1966.
    """
    return _distance(words(before), words(after))


def same_words(before: str, after: str) -> bool:
    """Whether two texts are the same but for case and punctuation."""
    return words(before) == words(after)


def _distance(first: Sequence[str], second: Sequence[str]) -> int:
    row = list(range(len(second) + 1))
    for number, word in enumerate(first, start=1):
        diagonal, row[0] = row[0], number
        for column, other in enumerate(second, start=1):
            above = row[column]
            row[column] = min(diagonal + (word != other), above + 1, row[column - 1] + 1)
            diagonal = above
    return row[-1]
