"""Cards of datasets: counts, words, growth, who reviewed and where it comes from, told when it is frozen."""

import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from catalog.captions import words
from catalog.manifests import FrozenItem

MOST_NAMED = 50  # words, people, models or folders in a card
OTHERS = "others"


@dataclass
class Tally:
    """What is counted of the items of a dataset as they go by."""

    images: dict[str, set[str]] = field(default_factory=dict)
    items: int = 0
    captions: Counter[str] = field(default_factory=Counter)
    origins: dict[str, Counter[str]] = field(default_factory=dict)
    languages: Counter[str] = field(default_factory=Counter)
    lengths: Counter[int] = field(default_factory=Counter)
    vocabulary: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    folders: Counter[str] = field(default_factory=Counter)
    rights: Counter[str] = field(default_factory=Counter)

    def add(self, item: FrozenItem) -> None:
        self.items += 1
        self.images.setdefault(item.split, set()).add(item.sha256)
        self.folders[item.path.rpartition("/")[0] or "."] += 1
        if item.rights:
            self.rights[item.rights] += 1
        for caption in item.captions:
            self.captions[item.split] += 1
            self.origins.setdefault(item.split, Counter())[caption.origin] += 1
            self.languages[caption.language] += 1
            said = words(caption.text)
            self.lengths[len(said)] += 1
            self.vocabulary.update(said)
            if caption.model:
                self.models[caption.model] += 1

    @property
    def number_of_images(self) -> int:
        return sum(map(len, self.images.values()))


def card(
    tally: Tally,
    *,
    left_out: Mapping[str, int],
    reviewers: Mapping[str, int],
    before: "tuple[int, Tally] | None",
) -> dict[str, Any]:
    """What there is to say of a dataset, as JSON.

    `images`, `captions` and `origins` are counted by split, `words` a caption; `left_out` are items that
    could not be frozen, by reason. `growth` compares with the version `before`, where there is one;
    `reviewers` are those who decided the captions last.
    """
    return {
        "images": {split: len(images) for split, images in sorted(tally.images.items())},
        "items": tally.items,
        "captions": dict(sorted(tally.captions.items())),
        "origins": {split: _named(origins) for split, origins in sorted(tally.origins.items())},
        "languages": _named(tally.languages),
        "words": _words(tally.lengths),
        "vocabulary": len(tally.vocabulary),
        "growth": _growth(tally, *before) if before else None,
        "reviewers": _named(Counter(reviewers)),
        "sources": {
            "models": _named(tally.models),
            "folders": _named(tally.folders),
            "rights": _named(tally.rights),
        },
        "left_out": dict(left_out),
    }


def _words(lengths: Counter[int]) -> dict[str, float]:
    """How many words captions have."""
    total = sum(length * number for length, number in lengths.items())
    return {
        "total": total,
        "shortest": min(lengths),
        "median": statistics.median_low(lengths.elements()),
        "mean": round(total / lengths.total(), 2),
        "longest": max(lengths),
    }


def _growth(tally: Tally, version: int, before: Tally) -> dict[str, Any]:
    """What came and went since a version; `new_words` are the commonest of them."""
    new = {word: number for word, number in tally.vocabulary.items() if word not in before.vocabulary}
    return {
        "since": version,
        "images": tally.number_of_images - before.number_of_images,
        "captions": tally.captions.total() - before.captions.total(),
        "words_new": len(new),
        "words_gone": len(before.vocabulary.keys() - tally.vocabulary.keys()),
        "new_words": sorted(new, key=lambda word: (-new[word], word))[:MOST_NAMED],
    }


def _named(counts: Counter[str]) -> dict[str, int]:
    """The largest counts by name, and the sum of the others."""
    largest = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    named = dict(largest[:MOST_NAMED])
    if rest := sum(number for _, number in largest[MOST_NAMED:]):
        named[OTHERS] = named.get(OTHERS, 0) + rest
    return named
