"""Which items of a collection are wanted: one filter for grids, queues, counts and bulk operations.

A filter is written in the words of an address, so that whoever has the address has the filter.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Self, TypeVar

from sqlalchemy import ColumnElement, exists, func, or_, select
from sqlalchemy.orm import Session

from catalog.errors import InvalidInput
from catalog.schema import (
    Caption,
    CaptionDetail,
    CaptionKind,
    Checkpoint,
    Collection,
    Item,
    Origin,
    ReviewState,
    User,
)
from catalog.search import LONGEST_QUERY, Search
from catalog.text import storable

NOBODY = "-"  # as an assignee; no user can have this name
MOST_IDS = 500  # items that an address may list: servers and proxies take 8190 characters
LONGEST_WORD = 255
LONGEST_ID = 18  # digits; no column holds more
DAYS = date(1970, 1, 1), date(2999, 12, 31)

Word = TypeVar("Word", bound=StrEnum)


@dataclass(frozen=True, kw_only=True)
class ItemFilter:
    """Items for which all of this holds; what is None or empty is not asked.

    `origin`, `kind`, `language`, `checkpoint`, `reviewer`, `since`, `until`, `above` and `below` have to hold
    of one and the same caption: `reviewer` is the name of who decided it last, the days are those of its
    last change, `above` and `below` bound the confidence of the model in it. `path` is a part of the file's
    path. `assignee` is a user's name, NOBODY for items of nobody. `ids` are items that somebody ticked.
    """

    state: ReviewState | None = None
    q: str = ""
    origin: Origin | None = None
    kind: CaptionKind | None = None
    language: str = ""
    checkpoint: str = ""
    reviewer: str = ""
    since: date | None = None
    until: date | None = None
    above: float | None = None
    below: float | None = None
    path: str = ""
    assignee: str = ""
    flagged: bool | None = None
    ids: tuple[int, ...] = ()

    @classmethod
    def read(cls, words: Mapping[str, Any]) -> Self:
        """The filter that an address asks for; other words in it are none of ours.

        Raises InvalidInput for a word that says nothing.
        """
        said = {name: str(words[name]).strip() for name in FIELDS if words.get(name) not in (None, "")}
        read = {name: READERS[name](name, word) for name, word in said.items() if word}
        return cls(**read)

    def words(self) -> dict[str, str]:
        """The words of an address that asks for this filter."""
        values = {field: getattr(self, field) for field in FIELDS}
        return {name: _written(value) for name, value in values.items() if value not in (None, "", ())}

    def without(self, *names: str) -> Self:
        """The filter that does not ask for these."""
        return type(self).read({name: word for name, word in self.words().items() if name not in names})

    @property
    def only_state(self) -> bool:
        """Whether nothing but the review state is asked for, if that."""
        return self.without("state") == EVERYTHING

    @property
    def only_text(self) -> bool:
        """Whether a text is searched for and nothing else is asked for but the review state."""
        return bool(self.q) and self.without("q").only_state

    def conditions(self, session: Session, collection: Collection) -> list[ColumnElement[bool]]:
        """What the rows of Item have to fulfil, those of other collections included."""
        asked = self.of_item(session, collection)
        if of_caption := self.of_caption():
            asked.append(exists().where(Caption.item_id == Item.id, *of_caption))
        return asked

    def of_item(
        self, session: Session, collection: Collection, *, among: Sequence[int] = ()
    ) -> list[ColumnElement[bool]]:
        """What the rows of Item have to fulfil, but for what is asked of their captions.

        With `among` no others than these items are looked at.
        """
        asked: list[ColumnElement[bool]] = [Item.collection_id == collection.id]
        between = (min(among), max(among)) if among else None
        if among:
            # A sum is in no index: the few items are found by their ids, not by their collection.
            asked = [Item.collection_id + 0 == collection.id, Item.id.in_(among)]
        if self.state:
            asked.append(Item.review_state == self.state)
        if self.q:
            asked.append(Search(collection, self.q).condition(session, between=between))
        if self.path:
            asked.append(_in_path(self.path))
        if self.flagged is not None:
            asked.append(Item.flagged.is_(self.flagged))
        if self.assignee:
            asked.append(_assigned(self.assignee))
        if self.ids:
            asked.append(Item.id.in_(self.ids))
        return asked

    def of_caption(self) -> list[ColumnElement[bool]]:
        """What one and the same row of Caption has to fulfil, if anything."""
        asked: list[ColumnElement[bool]] = []
        if self.origin:
            asked.append(Caption.origin == self.origin)
        if self.kind:
            asked.append(Caption.kind == self.kind)
        if self.language:
            asked.append(Caption.language == self.language)
        if self.checkpoint:
            named = select(Checkpoint.id).where(Checkpoint.name == self.checkpoint)
            asked.append(Caption.checkpoint_id.in_(named))
        if self.reviewer:
            asked.append(Caption.author_id.in_(select(User.id).where(User.name == self.reviewer)))
        if self.since:
            asked.append(Caption.updated_at >= _midnight(self.since))
        if self.until:
            asked.append(Caption.updated_at < _midnight(self.until) + timedelta(days=1))
        if self.above is not None or self.below is not None:
            asked.append(exists().where(CaptionDetail.caption_id == Caption.id, *self._of_confidence()))
        return asked

    def _of_confidence(self) -> list[ColumnElement[bool]]:
        above = [CaptionDetail.confidence >= self.above] if self.above is not None else []
        below = [CaptionDetail.confidence < self.below] if self.below is not None else []
        return above + below


EVERYTHING = ItemFilter()
FIELDS = tuple(field.name for field in dataclasses.fields(ItemFilter))


def _assigned(name: str) -> ColumnElement[bool]:
    if name == NOBODY:
        return Item.assignee_id.is_(None)
    return Item.assignee_id.in_(select(User.id).where(User.name == name))


def _in_path(part: str) -> ColumnElement[bool]:
    # SQLite knows the case of ASCII letters only: others are found as they are typed.
    folded = func.lower(Item.path).contains(part.lower(), autoescape=True)
    return or_(folded, Item.path.contains(part, autoescape=True))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _written(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _read_word(enum: type[Word], name: str, word: str) -> Word:
    if word not in set(enum):
        raise InvalidInput(f"{name} {word[:60]!r} is unknown; use one of {', '.join(enum)}")
    return enum(word)


def _read_text(name: str, word: str) -> str:
    longest = LONGEST_QUERY if name == "q" else LONGEST_WORD
    if len(word) > longest:
        raise InvalidInput(f"{name} has {len(word)} characters; use {longest} at most")
    return storable(word, instead=" ").strip()


def _read_day(name: str, word: str) -> date:
    try:
        day = date.fromisoformat(word)
    except ValueError:
        raise InvalidInput(f"{name} {word[:60]!r} is no day; write it as 2026-01-31") from None
    if not DAYS[0] <= day <= DAYS[1]:
        raise InvalidInput(f"{name} {day} is out of reach; give a day from {DAYS[0]} to {DAYS[1]}")
    return day


def _read_share(name: str, word: str) -> float:
    try:
        share = float(word)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise InvalidInput(f"{name} {word[:60]!r} is no confidence; give a number from 0 to 1")
    return share


def _read_flag(name: str, word: str) -> bool:
    if word not in ("yes", "no"):
        raise InvalidInput(f"{name} {word[:60]!r} is unknown; use yes or no")
    return word == "yes"


def read_ids(name: str, word: str) -> tuple[int, ...]:
    """Numbers of items with commas between, in ascending order. Raises InvalidInput, and names the word."""
    parts = word.split(",")
    if len(parts) > MOST_IDS:
        raise InvalidInput(f"{name} lists {len(parts)} items; give {MOST_IDS} at most, or filter for them")
    wrong = [part for part in parts if not _is_id(part)]
    if wrong:
        raise InvalidInput(f"{name} has {wrong[0][:60]!r} in it; give numbers of items with commas between")
    return tuple(sorted({int(part) for part in parts}))


def _is_id(part: str) -> bool:
    return part.isascii() and part.isdigit() and len(part) <= LONGEST_ID


READERS: dict[str, Callable[[str, str], Any]] = {
    "state": lambda name, word: _read_word(ReviewState, name, word),
    "origin": lambda name, word: _read_word(Origin, name, word),
    "kind": lambda name, word: _read_word(CaptionKind, name, word),
    "since": _read_day,
    "until": _read_day,
    "above": _read_share,
    "below": _read_share,
    "flagged": _read_flag,
    "ids": read_ids,
    **dict.fromkeys(("q", "language", "checkpoint", "reviewer", "path", "assignee"), _read_text),
}
