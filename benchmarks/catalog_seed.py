"""A catalog of any size to measure on: many collections with one huge, words as rare as Zipf has them.

Images, items and captions are rows only; no picture lies behind them.
"""

import random
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

import psycopg

from catalog.database import Database, migrate

WORDS = 5000
WORDS_A_CAPTION = 9
OTHERS = 19  # collections beside the huge one
SYLLABLES = [a + b for a in "bdfghklmnprstvw" for b in "aeiou"]
NOW = "2026-01-01 00:00:00+00:00"
REJECTED, UNCAPTIONED_EVERY = 20, 20
# Found a few times, in a tenth of the items at the end, and in two items of three.
RARE, LATE = "zeppelin", "lighthouse"
IMAGE = ("id", "sha256", "rendition", "format", "bytes", "width", "height", "pages", "stored", "created_at")
ITEM = (
    "id",
    "collection_id",
    "image_id",
    "path",
    "metadata",
    "position",
    "flagged",
    "review_state",
    "created_at",
)
CAPTION = (
    "id",
    "item_id",
    "text",
    "language",
    "kind",
    "state",
    "origin",
    "version",
    "created_at",
    "updated_at",
)
COLLECTION = ("id", "name", "guidelines", "created_at")
CAPTION_STATES = {"pending": "candidate", "accepted": "accepted", "rejected": "rejected"}
Row = tuple[object, ...]


@dataclass(frozen=True)
class Seeded:
    """What was made: the huge collection, its words, and a collection for each size of job."""

    huge: int
    common: str
    second: str
    jobs: dict[int, int]


class Seed:
    """The rows of `count` items, and of a captioned collection for each size in `job_sizes`."""

    def __init__(self, count: int, job_sizes: list[int]) -> None:
        self.random = random.Random(20)
        self.count, self.job_sizes = count, job_sizes
        words = sorted({self._word() for _ in range(2 * WORDS)})
        self.random.shuffle(words)
        self.words = words[:WORDS]
        self.weights = list(accumulate(1 / rank for rank in range(1, len(self.words) + 1)))
        self.jobs = {size: 2 + OTHERS + number for number, size in enumerate(job_sizes)}
        self.rejected = set(self.random.sample(range(0, count, 10), min(REJECTED, count // 10)))

    def made(self) -> Seeded:
        return Seeded(huge=1, common=self.words[0], second=self.words[1], jobs=self.jobs)

    def tables(self) -> Iterator[tuple[str, tuple[str, ...], Iterator[Row]]]:
        total = self.count + sum(self.job_sizes)
        names = ["Archive", *(f"Box {number}" for number in range(1, OTHERS + 1))]
        names += [f"Job of {size}" for size in self.job_sizes]
        yield "collections", COLLECTION, ((number, name, "", NOW) for number, name in enumerate(names, 1))
        yield "images", IMAGE, (self._image(number) for number in range(1, total + 1))
        yield "items", ITEM, (self._item(number) for number in range(1, total + 1))
        yield "captions", CAPTION, self._captions(total)

    def _word(self) -> str:
        return "".join(self.random.choices(SYLLABLES, k=self.random.choice((1, 2, 2, 3, 3, 4))))

    def _image(self, number: int) -> Row:
        return number, f"{number:064x}", f"{number:064x}", "JPEG", 1_000_000, 1024, 768, 1, True, NOW

    def _item(self, number: int) -> Row:
        path = f"{number // 1000:04}/{number:07}.jpg"
        return number, self._collection(number), number, path, "{}", number, False, self._state(number), NOW

    def _collection(self, number: int) -> int:
        """One item in ten lies in another collection, as where several people import at once."""
        if number <= self.count:
            return 1 if number % 10 else 2 + number // 10 % OTHERS
        place = number - self.count
        for size, collection in self.jobs.items():
            if place <= size:
                return collection
            place -= size
        raise ValueError(number)

    def _state(self, number: int) -> str:
        if number > self.count:
            return "pending"
        if number - 1 in self.rejected:
            return "rejected"
        return "uncaptioned" if number % UNCAPTIONED_EVERY == 0 else "accepted" if number % 3 else "pending"

    def _captions(self, total: int) -> Iterator[Row]:
        for number in range(1, total + 1):
            if (state := self._state(number)) != "uncaptioned":
                origin = "model" if state == "pending" else "accepted unchanged"
                text, state = self._text(number), CAPTION_STATES[state]
                yield number, number, text, "en", "caption", state, origin, 1, NOW, NOW

    def _text(self, number: int) -> str:
        words = self.random.choices(self.words, cum_weights=self.weights, k=WORDS_A_CAPTION)
        if number % max(self.count // 7, 1) == 1:
            words[3] = RARE
        if 0.9 * self.count < number <= self.count and number % 2:
            words[5] = LATE
        return f"{' '.join(words).capitalize()}."


def fill(database: Database, seed: Seed) -> None:
    """Write the rows into an empty database whose tables are as before the search index; migrate it then."""
    url = database.url.render_as_string(hide_password=False)
    migrate(url, "0004")
    (_fill_sqlite if database.is_sqlite else _fill_postgresql)(database, seed)


def _fill_sqlite(database: Database, seed: Seed) -> None:
    with sqlite3.connect(str(database.url.database)) as connection:
        for table, columns, rows in seed.tables():
            marks = ", ".join("?" * len(columns))
            connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)
    connection.close()


def _fill_postgresql(database: Database, seed: Seed) -> None:
    with psycopg.connect(database.url.render_as_string(hide_password=False)) as connection:
        for table, columns, rows in seed.tables():
            with connection.cursor().copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            connection.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}"
            )
