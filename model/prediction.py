"""What the captioner says about a photo, and how typed words and the network's become one text."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from model.config import TextConfig
from model.text import finish
from model.tokenizer import ptb_words

_BRACKETS = str.maketrans("()[]{}", " " * 6)


@dataclass(frozen=True)
class Alternative:
    """Another caption of the same photo; scores compare within a photo and between photos."""

    text: str
    score: float


@dataclass(frozen=True)
class Prediction:
    """A finished caption, the T words it was made of with the probability of each, and the other captions
    the search ended with, best first and each another text.

    A score, at most 0, is a log-probability over length ** length_penalty, less what `ExpectedWords` takes
    where the checkpoint has them. The confidence, 0..1, is the share of the words that people would have
    chosen too; None where the checkpoint has no calibration, and where
    a person typed the first words, for it says nothing of captions that are not all the network's own. The
    attention, uint8 (T, rows, columns), tells where the network looked before each word, 255 where most;
    None unless it was asked for, and for a network that pays none.
    """

    text: str
    score: float
    confidence: float | None
    tokens: tuple[str, ...]
    token_probabilities: tuple[float, ...]
    alternatives: tuple[Alternative, ...]
    attention: np.ndarray | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Replacement:
    """Another word for one place of a caption, and the finished caption with it."""

    word: str
    text: str
    score: float


@dataclass(frozen=True)
class Beginning:
    """What a person typed before the network's words: the text, and the words it is made of."""

    text: str
    words: tuple[str, ...]

    @classmethod
    def of(cls, typed: str) -> Self:
        """Cut a typed text into words as training does, without what has neither letter nor digit."""
        # Brackets would become the words "-lrb-" and so on.
        words = ptb_words(typed.translate(_BRACKETS))
        return cls(typed.rstrip(), tuple(word for word in words if any(map(str.isalnum, word))))

    def continued(self, words: Sequence[str], style: TextConfig) -> str:
        """The typed text as it is, then the words as the style finishes them.

        Where nothing follows what a person ended with punctuation, no stop is added.
        """
        if not self.text:
            return finish(words, style)
        if self.text[-1].isalnum():
            # Any letter does: it only tells the style that the words stand inside a sentence.
            return self.text + finish(["x", *words], style)[1:]
        return self.text + (finish([self.text[-1], *words], style)[1:] if words else "")


NOTHING_TYPED = Beginning.of("")
