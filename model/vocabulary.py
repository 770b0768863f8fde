"""The words a captioner knows, and their numbers."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from model.errors import ModelError

PAD, START, END, UNK = 0, 1, 2, 3
SPECIALS = ("<pad>", "<start>", "<end>", "<unk>")


@dataclass(frozen=True)
class Vocabulary:
    """Words in the order of their ids; the first four are `SPECIALS`."""

    words: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.words[: len(SPECIALS)] != SPECIALS:
            raise ModelError(f"a vocabulary must begin with {' '.join(SPECIALS)}")
        if len(self._ids) != len(self.words):
            raise ModelError("a vocabulary must not name a word twice")

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words)}

    @classmethod
    def build(
        cls, captions: Iterable[Sequence[str]], *, min_count: int, always: Collection[str] = ()
    ) -> "Vocabulary":
        """Keep the words that occur at least `min_count` times, the most frequent first, ties by alphabet.

        Words in `always` are kept even if they occur nowhere.
        """
        return cls(SPECIALS).extended(captions, min_count=min_count, always=always)

    def extended(
        self, captions: Iterable[Sequence[str]], *, min_count: int, always: Collection[str] = ()
    ) -> "Vocabulary":
        """The same words with the same ids, then the new ones of these captions, chosen as in `build`."""
        counts = Counter(word for caption in captions for word in caption if word not in self)
        kept = {word for word, n in counts.items() if n >= min_count} | (set(always) - set(self.words))
        return Vocabulary((*self.words, *sorted(kept, key=lambda word: (-counts[word], word))))

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self._ids

    def encode(self, words: Sequence[str], *, max_length: int) -> list[int]:
        """`<start> words <end>` as ids; beyond `max_length` words the rest and the `<end>` are cut off."""
        ids = [START, *(self._ids.get(word, UNK) for word in words[:max_length])]
        return ids if len(words) > max_length else [*ids, END]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """The words of these ids, up to the first `<end>`, without the specials."""
        words = []
        for number in ids:
            if number == END:
                break
            if number >= len(SPECIALS):
                words.append(self.words[number])
        return words
