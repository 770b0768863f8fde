"""BLEU-1..4, ROUGE-L and CIDEr-D as the COCO caption scorer computes them: corpus level, all references."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sacrebleu.metrics.bleu import BLEU

from model.tokenizer import ptb_words

Words = list[str]
TOKENIZER = "ptb"
SCORES = ("bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "cider")


def score_captions(captions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """All scores of one caption an image against its references; an empty caption is all wrong."""
    hypotheses = [ptb_words(caption) for caption in captions]
    tokenized = [[ptb_words(reference) for reference in group] for group in references]
    return {
        **bleu(hypotheses, tokenized),
        "rouge_l": rouge_l(hypotheses, tokenized),
        "cider": cider(hypotheses, tokenized),
    }


def human_scores(references: Sequence[Sequence[str]]) -> dict[str, float] | None:
    """People scored against each other: each reference in turn against the others, averaged over the turns.

    None unless every image has as many references as the others, and at least two.
    """
    counts = {len(group) for group in references}
    if len(counts) != 1 or counts == {1}:
        return None
    turns = range(counts.pop())
    rows = [
        score_captions(
            [group[turn] for group in references],
            [[reference for i, reference in enumerate(group) if i != turn] for group in references],
        )
        for turn in turns
    ]
    return {name: sum(row[name] for row in rows) / len(rows) for name in SCORES}


def bleu(hypotheses: Sequence[Words], references: Sequence[Sequence[Words]]) -> dict[str, float]:
    """Papineni et al., 2002: clipped n-gram precision; closest reference length, ties to the shorter."""
    longest = max(len(group) for group in references)
    # Any: sacrebleu takes None where an image has fewer references, its annotations do not say so.
    streams: Any = [
        [" ".join(group[i]) if i < len(group) else None for group in references] for i in range(longest)
    ]
    metric = BLEU(tokenize="none", smooth_method="none", force=True)
    counted = metric.corpus_score([" ".join(words) for words in hypotheses], streams)
    precisions = [
        correct / total if total else 0.0
        for correct, total in zip(counted.counts, counted.totals, strict=True)
    ]
    return {f"bleu{n}": counted.bp * _geometric_mean(precisions[:n]) for n in range(1, 5)}


def rouge_l(hypotheses: Sequence[Words], references: Sequence[Sequence[Words]]) -> float:
    """Lin, 2004: best precision and best recall over the references, each by itself, with beta = 1.2."""
    return _mean([_rouge_l(words, group) for words, group in zip(hypotheses, references, strict=True)])


def cider(hypotheses: Sequence[Words], references: Sequence[Sequence[Words]]) -> float:
    """CIDEr-D of Vedantam et al., 2015, times 10: sigma 6, document frequency from these references."""
    scorer = CiderD(references)
    return _mean([scorer.score(words, group) for words, group in zip(hypotheses, references, strict=True)])


class CiderD:
    """CIDEr-D with the document frequency of one corpus of references."""

    SIGMA = 6.0
    ORDERS = 4

    def __init__(self, references: Sequence[Sequence[Words]]) -> None:
        self._frequency: Counter[tuple[str, ...]] = Counter()
        for group in references:
            self._frequency.update({ngram for words in group for ngram in _ngrams(words, self.ORDERS)})
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
            total += similarity * penalty / self.ORDERS
        return 10.0 * total / len(references)

    def _tf_idf(self, words: Words) -> tuple[list[dict[tuple[str, ...], float]], list[float]]:
        vectors: list[dict[tuple[str, ...], float]] = [{} for _ in range(self.ORDERS)]
        for ngram, count in _ngrams(words, self.ORDERS).items():
            rarity = self._log_images - math.log(max(1, self._frequency[ngram]))
            vectors[len(ngram) - 1][ngram] = count * rarity
        return vectors, [math.sqrt(sum(value**2 for value in vector.values())) for vector in vectors]


def _ngrams(words: Words, orders: int) -> Counter[tuple[str, ...]]:
    return Counter(
        tuple(words[start : start + n]) for n in range(1, orders + 1) for start in range(len(words) - n + 1)
    )


def _bigrams(words: Words) -> int:
    # The reference scorer takes the number of bigrams, not of words, as the length it compares.
    return max(0, len(words) - 1)


def _rouge_l(words: Words, references: Sequence[Words], beta: float = 1.2) -> float:
    common = [_longest_common_subsequence(words, reference) for reference in references]
    precision = max(common) / max(1, len(words))
    recall = max(
        length / max(1, len(reference)) for length, reference in zip(common, references, strict=True)
    )
    if not precision or not recall:
        return 0.0
    return (1 + beta**2) * precision * recall / (recall + beta**2 * precision)


def _longest_common_subsequence(first: Words, second: Words) -> int:
    row = [0] * (len(second) + 1)
    for word in first:
        diagonal = 0
        for column, other in enumerate(second, start=1):
            above = row[column]
            row[column] = diagonal + 1 if word == other else max(above, row[column - 1])
            diagonal = above
    return row[-1]


def _geometric_mean(values: Sequence[float]) -> float:
    return math.exp(_mean([math.log(value) for value in values])) if all(values) else 0.0


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
