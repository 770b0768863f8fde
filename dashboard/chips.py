"""What the filter of a page asks for, in words for people."""

from dataclasses import dataclass

from catalog.filters import NOBODY, ItemFilter

NAMES = {
    "state": "State",
    "q": "Captions say",
    "origin": "Source",
    "kind": "Kind",
    "language": "Language",
    "checkpoint": "Checkpoint",
    "reviewer": "Reviewer",
    "since": "Changed since",
    "until": "Changed until",
    "above": "Confidence from",
    "below": "Confidence below",
    "path": "File name",
    "assignee": "Assigned to",
    "flagged": "Flagged",
    "ids": "Ticked",
}


@dataclass(frozen=True)
class Chip:
    """One condition: the word of the address that asks for it, what it is called, and what it says."""

    field: str
    name: str
    said: str


def chips(filter: ItemFilter) -> list[Chip]:
    """A chip for each condition of the filter."""
    return [Chip(field, NAMES[field], _said(filter, field, word)) for field, word in filter.words().items()]


def _said(filter: ItemFilter, field: str, word: str) -> str:
    if field == "ids":
        return f"{len(filter.ids)} photos" if len(filter.ids) > 1 else "1 photo"
    return "nobody" if (field, word) == ("assignee", NOBODY) else word
