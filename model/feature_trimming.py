"""The bound of a feature cache: what was used longest ago goes first, and never what a run needs."""

import json
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from model.errors import DataError
from model.feature_rows import INDEX_FILE, ROWS_FILE, FeatureRows

USES_FILE = "uses.txt"
TRIMMED_TO = 0.8  # of the bound, for the rows that stay are copied: not every run shall do so


@dataclass(frozen=True)
class _Cached:
    """The rows of one encoder in a cache; `uses` has the last use of each, in seconds since 1970."""

    folder: Path
    rows: FeatureRows
    hashes: list[str]
    uses: dict[str, float]

    @property
    def bytes(self) -> int:
        return len(self.hashes) * self.rows.row_bytes


def trim(cache: Path, most: int, needed: Mapping[Path, Collection[str]]) -> bool:
    """Remove rows from a cache that holds more than `most` bytes; returns whether there were any to remove.

    `needed` are the photos that the run uses, by the folder of their rows: they are noted as used now, and
    stay, though they were more. A disk too full to copy what stays leaves the cache as it is.
    """
    for folder, hashes in needed.items():
        _note_use(folder, hashes)
    found = list(_found(cache))
    excess = sum(one.bytes for one in found) - most
    if excess <= 0:
        return False
    excess += round((1 - TRIMMED_TO) * most)
    # Of equal age, those go first that were encoded first.
    free = sorted(
        (one.uses.get(digest, 0.0), row, number)
        for number, one in enumerate(found)
        for row, digest in enumerate(one.hashes)
        if digest not in needed.get(one.folder, ())
    )
    dropped: dict[int, set[str]] = {}
    for _, row, number in free:
        if excess <= 0:
            break
        dropped.setdefault(number, set()).add(found[number].hashes[row])
        excess -= found[number].rows.row_bytes
    trimmed = False
    for number, hashes in dropped.items():
        with suppress(OSError):
            trimmed |= found[number].rows.drop(hashes)
    return trimmed


def _found(cache: Path) -> Iterator[_Cached]:
    """All that lies in a cache, but for what is damaged: whoever needs that is told."""
    for data in sorted(cache.glob(f"*/{ROWS_FILE}")):
        folder = data.parent
        with suppress(OSError, ValueError, KeyError, DataError):
            with (folder / INDEX_FILE).open(encoding="ascii") as file:
                head = file.readline().rstrip("\n")
            rows = FeatureRows(folder, head, tuple(json.loads(head)["shape"]))
            yield _Cached(folder, rows, rows.hashes(), _uses(folder))


def _uses(folder: Path) -> dict[str, float]:
    with suppress(FileNotFoundError):
        lines = (folder / USES_FILE).read_text(encoding="ascii").splitlines()
        return {digest: float(used) for digest, used in map(str.split, lines)}
    return {}


def _note_use(folder: Path, hashes: Collection[str]) -> None:
    """Note that these rows are used now; where that cannot be written, they look older than they are."""
    partial = (folder / USES_FILE).with_suffix(".partial")
    with suppress(OSError, ValueError):
        uses = _uses(folder) | dict.fromkeys(hashes, time.time())
        partial.write_text("".join(f"{digest} {used}\n" for digest, used in uses.items()), encoding="ascii")
        partial.replace(folder / USES_FILE)
