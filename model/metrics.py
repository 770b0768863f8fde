"""BLEU-1..4, ROUGE-L and CIDEr-D as the COCO caption scorer computes them: corpus level, all references."""

import math
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
from sacrebleu.metrics.bleu import BLEU

from model.tokenizer import ptb_words

Words = list[str]
TOKENIZER = "ptb"
SCORER = f"recaption-1, sacrebleu {version('sacrebleu')}"
SCORES = ("bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "cider")
ORDERS = 4


class Scorer:
    """Scores captions against one set of references, a group of them an image; all cut into words.

    What it finds of each image is kept apart, so that any weighting of the images can be scored.
    """

    def __init__(self, references: Sequence[Sequence[Words]]) -> None:
        self._references = references
        self._cider = CiderD(references)

    def statistics(self, hypotheses: Sequence[Words]) -> np.ndarray:
        """What each caption adds to the scores: (B, 12) float64, rows that `corpus_scores` takes sums of.

        Right n-grams and all n-grams of the orders 1 to 4, words, words of the closest reference, ROUGE-L,
        CIDEr-D. An empty caption has nothing right.
        """
        rows = [
            [*_bleu_counts(words, group), rouge_l(words, group), self._cider.score(words, group)]
            for words, group in zip(hypotheses, self._references, strict=True)
        ]
        return np.array(rows, dtype=np.float64)


def tokenized(references: Sequence[Sequence[str]]) -> list[list[Words]]:
    """Each reference of each image as the words that scores compare."""
    return [[ptb_words(reference) for reference in group] for group in references]


def corpus_scores(statistics: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """The six scores (..., 6) of statistics (B, 12), each image as often as its weight says (..., B).

    BLEU: Papineni et al., 2002, from n-grams counted over all images; ROUGE-L and CIDEr-D are means.
    """
    images = np.ones(len(statistics)) if weights is None else weights
    sums = images @ statistics
    right, counted = sums[..., :ORDERS], sums[..., ORDERS : 2 * ORDERS]
    words, reference_words = sums[..., 8:9], sums[..., 9:10]
    with np.errstate(divide="ignore", invalid="ignore"):
        precisions = np.where(counted > 0, right / counted, 0.0)
        means = np.exp(np.cumsum(np.log(precisions), axis=-1) / np.arange(1, ORDERS + 1))
        brevity = np.where(words > 0, np.exp(np.minimum(0.0, 1 - reference_words / words)), 0.0)
    return np.concatenate([brevity * means, sums[..., 10:] / images.sum(axis=-1)[..., None]], axis=-1)


def cider_of_each(statistics: np.ndarray) -> np.ndarray:
    """CIDEr-D of each caption (B), from statistics (B, 12)."""
    return statistics[:, 11]


def chosen_words_of_each(statistics: np.ndarray) -> np.ndarray:
    """The share of each caption's words that a person used in a reference of that photo (B); 0 without words.

    The clipped unigram precision of Papineni et al., "BLEU", 2002, sec. 2.1.1, from statistics (B, 12).
    """
    return statistics[:, 0] / np.maximum(1, statistics[:, ORDERS])


def human_scores(references: Sequence[Sequence[Words]]) -> dict[str, float] | None:
    """People scored against each other: each reference in turn against the others, averaged over the turns.

    There are as many turns as the image with the fewest references has; None where one image has but one.
    """
    fewest = min(len(group) for group in references)
    if fewest < 2:
        return None
    turns = []
    for turn in range(fewest):
        others = Scorer([[*group[:turn], *group[turn + 1 :]] for group in references])
        turns.append(corpus_scores(others.statistics([group[turn] for group in references])))
    return named(np.mean(turns, axis=0))


def named(scores: np.ndarray) -> dict[str, float]:
    """Six scores by their names."""
    return dict(zip(SCORES, map(float, scores), strict=True))


def rouge_l(words: Words, references: Sequence[Words], beta: float = 1.2) -> float:
    """Lin, 2004: best precision and best recall over the references, each by itself."""
    common = [_longest_common_subsequence(words, reference) for reference in references]
    precision = max(common) / max(1, len(words))
    recall = max(
        length / max(1, len(reference)) for length, reference in zip(common, references, strict=True)
    )
    if not precision or not recall:
        return 0.0
    return (1 + beta**2) * precision * recall / (recall + beta**2 * precision)


def bleu4(words: Words, references: Sequence[Words]) -> float:
    """BLEU-4 of one caption, 0..1, with one more of each order but the first, so that it is rarely 0.

    Lin and Och, "ORANGE: a Method for Evaluating Automatic Evaluation Metrics", 2004.
    """
    texts = [" ".join(reference) for reference in references]
    return _SMOOTHED_BLEU.sentence_score(" ".join(words), texts).score / 100


def cider(hypotheses: Sequence[Words], references: Sequence[Sequence[Words]]) -> float:
    """CIDEr-D of Vedantam et al., 2015, times 10: sigma 6, document frequency from these references."""
    scorer = CiderD(references)
    scores = [scorer.score(words, group) for words, group in zip(hypotheses, references, strict=True)]
    return sum(scores) / len(scores)


class CiderD:
    """CIDEr-D with the document frequency of one corpus of references."""

    SIGMA = 6.0

    def __init__(self, references: Sequence[Sequence[Words]]) -> None:
        self._frequency: Counter[tuple[str, ...]] = Counter()
        for group in references:
            self._frequency.update({ngram for words in group for ngram in _ngrams(words)})
        self._log_images = math.log(len(references))

    def score(self, words: Words, references: Sequence[Words]) -> float:
        """One caption against the references of its image."""
        vectors, norms = self._tf_idf(words)
        length = _bigrams(words)
        total = 0.0
        for reference in references:
            others, other_norms = self._tf_idf(reference)
            similarity = 0.0
            for vector, norm, other, other_norm in zip(vectors, norms, others, other_norms, strict=True):
                if norm and other_norm:
                    shared = sum(min(value, other[n]) * other[n] for n, value in vector.items() if n in other)
                    similarity += shared / (norm * other_norm)
            penalty = math.exp(-((length - _bigrams(reference)) ** 2) / (2 * self.SIGMA**2))
            total += similarity * penalty / ORDERS
        return 10.0 * total / len(references)

    def _tf_idf(self, words: Words) -> tuple[list[dict[tuple[str, ...], float]], list[float]]:
        vectors: list[dict[tuple[str, ...], float]] = [{} for _ in range(ORDERS)]
        for ngram, count in _ngrams(words).items():
            rarity = self._log_images - math.log(max(1, self._frequency[ngram]))
            vectors[len(ngram) - 1][ngram] = count * rarity
        return vectors, [math.sqrt(sum(value**2 for value in vector.values())) for vector in vectors]


# Its warning about sentences does not concern counts that are summed over the corpus.
_BLEU = BLEU(tokenize="none", smooth_method="none", effective_order=True)
_SMOOTHED_BLEU = BLEU(tokenize="none", smooth_method="add-k", smooth_value=1, effective_order=True)


def _bleu_counts(words: Words, references: Sequence[Words]) -> list[float]:
    """Right and all n-grams of each order, words, and words of the closest reference, ties to the shorter."""
    counted = _BLEU.sentence_score(" ".join(words), [" ".join(reference) for reference in references])
    return [*counted.counts, *counted.totals, counted.sys_len, counted.ref_len]


def _ngrams(words: Words) -> Counter[tuple[str, ...]]:
    return Counter(
        tuple(words[start : start + n]) for n in range(1, ORDERS + 1) for start in range(len(words) - n + 1)
    )


def _bigrams(words: Words) -> int:
    # The reference scorer takes the number of bigrams, not of words, as the length it compares.
    return max(0, len(words) - 1)


def _longest_common_subsequence(first: Words, second: Words) -> int:
    row = [0] * (len(second) + 1)
    for word in first:
        diagonal = 0
        for column, other in enumerate(second, start=1):
            above = row[column]
            row[column] = diagonal + 1 if word == other else max(above, row[column - 1])
            diagonal = above
    return row[-1]
