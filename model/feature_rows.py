"""Rows of numbers on disk, a row a photo, in files that grow until they are trimmed."""

import fcntl
import math
import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from model.errors import DataError

INDEX_FILE = "index.txt"
ROWS_FILE = "rows.float16"


class CachedFeatures:
    """Feature maps (n, h, w, C) float16 of n photos, read from disk as they are asked for.

    An int gives a read-only view (h, w, C); a slice or an array of integers gives a copy (n, h, w, C).
    """

    def __init__(self, folder: Path, rows: np.ndarray, places: np.ndarray) -> None:
        self.folder = folder
        self._rows = rows
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int | slice | np.ndarray) -> np.ndarray:
        return self._rows[self._places[index]]

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, h, w, C)."""
        return (len(self._places), *self._rows.shape[1:])


class FeatureRows:
    """Rows of one shape in a file, and beside it an index: a line about them, then the photo's hash of each.

    Both files grow, the rows first, so what a killed process leaves incomplete is at their ends. A row counts
    when its line and its bytes are whole. Only `drop` makes them shorter.
    """

    def __init__(self, folder: Path, head: str, shape: tuple[int, ...]) -> None:
        self._folder = folder
        self._index = folder / INDEX_FILE
        self._data = folder / ROWS_FILE
        self._partial = self._data.with_suffix(".partial")
        self._head = head
        self._shape = shape
        self.row_bytes = math.prod(shape) * np.dtype(np.float16).itemsize

    def hashes(self) -> list[str]:
        """The photo of each row that counts; raises DataError for an index that begins with other words."""
        lines = self._whole_lines()
        if lines and lines[0] != self._head:
            raise DataError(
                f'"{self._index}" is damaged; delete the folder "{self._folder}", '
                "and the photos are encoded again"
            )
        rows = self._data.stat().st_size // self.row_bytes if self._data.is_file() else 0
        return lines[1 : 1 + rows]

    def select(self, hashes: Sequence[str]) -> CachedFeatures | None:
        """The rows of these photos, memory-mapped; None where one of them has no row."""
        while True:
            held = self.hashes()
            places = {digest: row for row, digest in enumerate(held)}
            if not places.keys() >= set(hashes):
                return None
            # Files that were replaced since are shorter.
            with suppress(ValueError):
                rows = np.memmap(self._data, np.float16, mode="r", shape=(len(held), *self._shape))
                # Rows may have moved since the index was read: whoever moves them takes the lines away first.
                if self.hashes()[: len(held)] == held:
                    # A plain array over the same memory: an index into a memmap makes another memmap, which
                    # takes longer.
                    return CachedFeatures(
                        self._folder, np.asarray(rows), np.array([places[digest] for digest in hashes])
                    )

    @contextmanager
    def adding(self, hashes: Sequence[str]) -> Iterator[list[str]]:
        """Which of these photos have no row yet; no other process adds rows meanwhile. Raises DataError."""
        with self._naming_the_file(len(hashes)):
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = self._index.open("ab")
        with lock:
            # The system frees the lock when the process ends, however it ends.
            fcntl.flock(lock, fcntl.LOCK_EX)
            with self._naming_the_file(len(hashes)):
                self._cut_what_is_incomplete()
            held = set(self.hashes())
            missing = [digest for digest in hashes if digest not in held]
            self._refuse_full_disk(len(missing))
            yield missing

    def append(self, hashes: Sequence[str], maps: np.ndarray, *, waiting: int) -> None:
        """Add a row a photo, safe on disk when this returns; `waiting` photos, these too, need room."""
        with self._naming_the_file(waiting):
            _append(self._data, maps.tobytes())
            _append(self._index, "".join(f"{digest}\n" for digest in hashes).encode())

    def drop(self, dropped: Collection[str]) -> bool:
        """Remove the rows of these photos; False where another process adds rows just now.

        Those who have selected rows keep them. Killed in between, it leaves no rows, and all are encoded
        again. Raises OSError, above all where there is no room for a copy of what stays.
        """
        with self._index.open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            held = self.hashes()
            kept = [row for row, digest in enumerate(held) if digest not in dropped]
            try:
                self._copy(kept, self._partial)
                # Lines first: by them, nobody may take a row for that of another photo.
                lock.truncate(len(self._head) + 1)
                os.fsync(lock.fileno())
                self._partial.replace(self._data)
            finally:
                self._partial.unlink(missing_ok=True)
            _append(self._index, "".join(f"{held[row]}\n" for row in kept).encode())
        return True

    def _copy(self, rows: Sequence[int], target: Path) -> None:
        with self._data.open("rb") as source, target.open("wb") as copy:
            for row in rows:
                source.seek(row * self.row_bytes)
                copy.write(source.read(self.row_bytes))
            copy.flush()
            os.fsync(copy.fileno())

    def _whole_lines(self) -> list[str]:
        try:
            content = self._index.read_bytes().decode("ascii", "replace")
        except FileNotFoundError:
            return []
        return content.split("\n")[:-1]

    def _cut_what_is_incomplete(self) -> None:
        held = self.hashes()
        whole = self._whole_lines()[: 1 + len(held)]
        os.truncate(self._index, sum(len(line) + 1 for line in whole))
        if not whole:
            _append(self._index, f"{self._head}\n".encode())
        self._partial.unlink(missing_ok=True)
        self._data.touch()
        os.truncate(self._data, len(held) * self.row_bytes)

    def _refuse_full_disk(self, photos: int) -> None:
        free = shutil.disk_usage(self._folder).free
        if photos * self.row_bytes > free:
            raise self._not_written(f"only {_megabytes(free)} are free", photos)

    @contextmanager
    def _naming_the_file(self, photos: int) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._not_written(error.strerror or str(error), photos) from error

    def _not_written(self, reason: str, photos: int) -> DataError:
        return DataError(
            f'cannot write "{self._data}": {reason}; the features of {photos} more photos take '
            f"{_megabytes(photos * self.row_bytes)}; make room, or choose another folder with --cache"
        )


def _append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _megabytes(size: int) -> str:
    return f"{size / 2**20:,.1f} MB"
