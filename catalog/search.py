"""Text search over the captions of a collection, on the index that each database keeps by triggers.

A hit is an item whose captions hold all the words; hits come in the order of their ids, unranked. Words are
found without regard to case and accents, in any script; `boat*` finds the beginnings of words, and words in
quotes stand one behind the other. Nothing that people type is an error. SQLite: <https://sqlite.org/fts5.html>.
PostgreSQL: <https://www.postgresql.org/docs/current/textsearch.html>; its hits are read a block of ids at a
time, because a GIN index alone would have to find all of them to tell the first.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Text, cast, func, select, text
from sqlalchemy.orm import Session

from catalog.schema import Collection, Identity, Item, ReviewState
from catalog.text import storable

MOST_COUNTED = 10_000  # hits
LONGEST_QUERY = 200  # characters
MOST_TERMS = 16
PREFIX_SIZE = 4  # letters: the longest beginnings of words that the PostgreSQL index of migration 0005 holds
NOTHING = "'/nothing'"  # a lexeme that no row has

SQLITE_HITS = "SELECT rowid AS item_id FROM item_texts WHERE item_texts MATCH :query"
SQLITE_BETWEEN = " AND rowid BETWEEN :first AND :last"
SQLITE_PAGE = f"{SQLITE_HITS} AND rowid > :after ORDER BY rowid LIMIT :limit"
SQLITE_BACKWARDS = f"{SQLITE_HITS} AND rowid < :before ORDER BY rowid DESC LIMIT :limit"
SQLITE_COUNT = f"SELECT count(*) FROM ({SQLITE_HITS} LIMIT :limit)"

# 16384 ids a block, as in migration 0005. The order is that of no index, or the planner might take to walking
# along the primary key in search of a rare word.
POSTGRESQL_LAST = "(SELECT coalesce(max(item_id), 0) / 16384 FROM item_texts)"
POSTGRESQL_HITS = """
SELECT item_id FROM {blocks} AS block (number), LATERAL (
    SELECT item_id FROM item_texts
    WHERE {terms} AND words @@ CAST('''/b' || block.number || '''' AS tsquery) {rest} {place}
    LIMIT :limit
) AS hit LIMIT :limit
"""
POSTGRESQL_UNORDERED = "SELECT item_id FROM item_texts WHERE {terms} {rest}"
# Joined with nothing, the column is none that GIN knows: it would look up every word with this beginning.
POSTGRESQL_REST = "AND (words || CAST('' AS tsvector)) @@ CAST(:rest AS tsquery)"
POSTGRESQL_BETWEEN = " AND item_id BETWEEN :first AND :last"
POSTGRESQL_PAGE = {
    "blocks": f"generate_series(CAST(:after AS bigint) / 16384, {POSTGRESQL_LAST})",
    "place": "AND item_id > :after ORDER BY item_id + 0",
}
POSTGRESQL_BACKWARDS = {
    "blocks": "generate_series(CAST(:before AS bigint) / 16384, 0, -1)",
    "place": "AND item_id < :before ORDER BY item_id + 0 DESC",
}
POSTGRESQL_ALL = {"blocks": f"generate_series(0, {POSTGRESQL_LAST})", "place": ""}


@dataclass(frozen=True)
class Term:
    """Words that stand in this order, mostly one; the last word of a `prefix` may go on."""

    words: str
    prefix: bool


@dataclass(frozen=True)
class Search:
    """What is searched for: a text in one collection, perhaps in one review state."""

    collection: Collection
    typed: str
    state: ReviewState | None = None

    def after(self, session: Session, item_id: int, *, limit: int) -> list[int]:
        """The first hits behind an item; all have an id above 0."""
        return self._ids(session, SQLITE_PAGE, POSTGRESQL_PAGE, after=item_id, limit=limit)

    def before(self, session: Session, item_id: int, *, limit: int) -> list[int]:
        """The last hits before an item, nearest first."""
        return self._ids(session, SQLITE_BACKWARDS, POSTGRESQL_BACKWARDS, before=item_id, limit=limit)

    def condition(self, session: Session, *, between: tuple[int, int] | None = None) -> ColumnElement[bool]:
        """The condition under which a row of Item is a hit, for queries that ask for more than a text.

        Where ids lie `between` two of them, those two included, no other rows are looked at.
        """
        place = dict(zip(("first", "last"), between or (), strict=False))
        if _is_sqlite(session):
            rest = SQLITE_BETWEEN if place else ""
            found = text(SQLITE_HITS + rest).bindparams(query=self._sqlite_query(), **place)
        else:
            wanted, query = self._asked(session)
            rest = POSTGRESQL_BETWEEN if place else ""
            found = text(POSTGRESQL_UNORDERED.format(**wanted) + rest).bindparams(**query, **place)
        return Item.id.in_(found.columns(item_id=Identity).subquery().select())

    def count(self, session: Session) -> int:
        """The number of hits; MOST_COUNTED + 1 stands for all that are more."""
        if _is_sqlite(session):
            query = {"query": self._sqlite_query(), "limit": MOST_COUNTED + 1}
            return session.scalar(text(SQLITE_COUNT), query) or 0
        statement, query = self._postgresql(session, POSTGRESQL_ALL)
        counted = f"SELECT count(*) FROM ({statement}) AS hits"
        return session.scalar(text(counted), query | {"limit": MOST_COUNTED + 1}) or 0

    def _ids(self, session: Session, sqlite: str, parts: dict[str, str], **place: int) -> list[int]:
        statement, query = sqlite, {"query": self._sqlite_query()}
        if not _is_sqlite(session):
            statement, query = self._postgresql(session, parts)
        return list(session.scalars(text(statement), query | place))

    def _sqlite_query(self) -> str:
        found = terms(self.typed)
        scope = f"c{self.collection.id}" + (f" AND {self.state}" if self.state else "")
        words = " AND ".join(f'"{term.words}"' + " *" * term.prefix for term in found)
        # A search for nothing finds nothing, for no scope has this word.
        return f"scope : ({scope}) AND text : ({words})" if found else "scope : nothing"

    def _postgresql(self, session: Session, parts: dict[str, str]) -> tuple[str, dict[str, Any]]:
        wanted, query = self._asked(session)
        return POSTGRESQL_HITS.format(**wanted, **parts), query

    def _asked(self, session: Session) -> tuple[dict[str, str], dict[str, Any]]:
        """What is asked of PostgreSQL's rows, as SQL and the values in it."""
        scope = [f"'/c{self.collection.id}'"] + ([f"'/{self.state}'"] if self.state else [])
        found, rest = _lexemes(session, terms(self.typed))
        query = {f"term{number}": term for number, term in enumerate(scope + found)}
        # One condition a term: GIN then leaps from hit to hit of the rarest, where of one condition with all
        # the terms it would look at every row of a block.
        conditions = " AND ".join(f"words @@ CAST(:{name} AS tsquery)" for name in query)
        if rest:
            query["rest"] = " & ".join(rest)
        return {"terms": conditions, "rest": POSTGRESQL_REST if rest else ""}, query


def terms(typed: str) -> list[Term]:
    """What people typed as terms; signs alone are none."""
    found = re.findall(r'"([^"]*)"?(\*?)|([^\s"]+)', storable(typed[:LONGEST_QUERY], instead=" "))
    read = [Term(quoted or word, bool(star) or word.endswith("*")) for quoted, star, word in found]
    return [term for term in read if any(letter.isalnum() for letter in term.words)][:MOST_TERMS]


def _lexemes(session: Session, found: Sequence[Term]) -> tuple[list[str], list[str]]:
    """The terms as PostgreSQL's index knows them, and what is asked of the rows that it finds."""
    query: list[str] = []
    rest: list[str] = []
    for term, folded in zip(found, _folded(session, found), strict=True):
        *whole, last = folded.split() or [""]
        if term.prefix and last:
            query.append(f"'/p{last[:PREFIX_SIZE]}'")
            rest += [f"'{last}':*"] if len(last) > PREFIX_SIZE else []
        elif last:
            whole.append(last)
        if whole or not last:
            phrase = func.phraseto_tsquery("simple", " ".join(whole))
            query.append(session.scalar(select(cast(phrase, Text))) or NOTHING)
    return query or [NOTHING], rest


def _folded(session: Session, found: Sequence[Term]) -> Sequence[str]:
    """The terms as the index folds captions: lower case, without accents, blanks between words."""
    return session.execute(select(*(func.search_fold(term.words) for term in found))).one() if found else []


def _is_sqlite(session: Session) -> bool:
    return session.get_bind().dialect.name == "sqlite"
