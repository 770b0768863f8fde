"""Listings in pages that go on behind a key: the last costs what the first does, and none skips a row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, select, true, tuple_
from sqlalchemy.orm import Session

from catalog.errors import NotFound

Row = TypeVar("Row")

PAGE_SIZE = 100


@dataclass(frozen=True)
class Listing(Generic[Row]):
    """Some rows in order; `after` is the id to continue behind, None on the last page."""

    rows: Sequence[Row]
    after: int | None


def listing(rows: Sequence[Row], limit: int, id: Callable[[Row], int]) -> Listing[Row]:
    """A page of `limit` rows from one row more, which tells whether another page follows."""
    return Listing(rows=rows[:limit], after=id(rows[limit - 1]) if len(rows) > limit else None)


def behind(session: Session, after: int | None, *key: Any) -> ColumnElement[bool]:
    """The rows behind `after` in the ascending order of `key`, whose last column is the id.

    Raises NotFound when the row is gone, and with it the place where the page begins.
    """
    if after is None:
        return true()
    place = session.execute(select(*key).where(key[-1] == after)).first()
    if place is None:
        raise NotFound(f"{after}, behind which this page begins, was deleted; load the list again")
    return tuple_(*key) > tuple(place)
