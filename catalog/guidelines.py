"""Guidelines of a collection: what its captions should be like, and the words that they should not have."""

import hashlib

from sqlalchemy.orm import Session

from catalog.errors import Conflict, InvalidInput
from catalog.schema import Collection
from catalog.text import storable

GUIDELINES_LENGTH = 20_000  # characters
MOST_WORDS = 500
WORD_LENGTH = 100  # characters


def write(
    session: Session,
    collection: Collection,
    *,
    guidelines: str | None = None,
    avoid: str | None = None,
    seen: str | None = None,
) -> None:
    """Change the guidelines, the words to avoid (a line each), or both. Whoever sees a collection may.

    `seen` is the `mark` of what the writer began with. Raises Conflict where it has changed since, and
    InvalidInput for too much text.
    """
    session.refresh(collection, with_for_update=True)
    if seen and seen != mark(collection):
        raise Conflict(
            f"somebody changed the guidelines of {collection.name!r} meanwhile; "
            "copy what you wrote, load the page again and put it in"
        )
    if guidelines is not None:
        collection.guidelines = _checked(guidelines)
    if avoid is not None:
        collection.avoid = "\n".join(_words(avoid))


def mark(collection: Collection) -> str:
    """What tells these guidelines from others."""
    both = f"{collection.guidelines}\0{collection.avoid}"
    return hashlib.sha256(both.encode()).hexdigest()[:16]


def _checked(guidelines: str) -> str:
    kept = storable(guidelines, keep="\n").strip()
    if len(kept) > GUIDELINES_LENGTH:
        raise InvalidInput(f"the guidelines have {len(kept)} characters; keep them under {GUIDELINES_LENGTH}")
    return kept


def _words(avoid: str) -> list[str]:
    """The words of the lines, each once, whatever its case and blanks."""
    lines = (" ".join(line.split()) for line in storable(avoid, keep="\n").split("\n"))
    words = {line.casefold(): line for line in reversed(list(lines)) if line}
    kept = list(words.values())[::-1]
    if len(kept) > MOST_WORDS:
        raise InvalidInput(f"{len(kept)} words to avoid are too many; keep the {MOST_WORDS} that matter")
    for word in kept:
        if len(word) > WORD_LENGTH:
            raise InvalidInput(f"{word[:60]!r}… is too long to avoid; give a word or a few, one a line")
    return kept
