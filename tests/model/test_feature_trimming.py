"""The bound of a feature cache: what goes, what stays, and what it survives."""

import errno
import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model import feature_rows, feature_trimming
from model.feature_rows import INDEX_FILE, ROWS_FILE, FeatureRows
from model.feature_trimming import trim

SHAPE = (1, 2, 2)
ROW = 8  # bytes


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at the clock is a second later than the one before."""
    monkeypatch.setattr(feature_trimming.time, "time", itertools.count(1.0).__next__)


def rows_in(folder: Path) -> FeatureRows:
    return FeatureRows(folder, json.dumps({"weights": folder.name, "shape": SHAPE}), SHAPE)


def encode(folder: Path, photos: Iterable[int]) -> FeatureRows:
    """Rows of these photos, each full of the photo's number."""
    rows = rows_in(folder)
    with rows.adding(names(photos)) as missing:
        maps = [np.full(SHAPE, int(name), np.float16) for name in missing]
        rows.append(missing, np.array(maps, np.float16).reshape(-1, *SHAPE), waiting=len(missing))
    return rows


def names(photos: Iterable[int]) -> list[str]:
    return [f"{photo:064}" for photo in photos]


def held(folder: Path) -> list[int]:
    """The photos that have rows; each of these is its own."""
    found = rows_in(folder).hashes()
    selected = rows_in(folder).select(found)
    assert selected
    assert selected[:][:, 0, 0, 0].tolist() == [int(name) for name in found]
    return [int(name) for name in found]


def use(folder: Path, photos: Iterable[int]) -> None:
    """As a run does that uses these photos and finds room for all."""
    assert not trim(folder.parent, 10**9, {folder: names(photos)})


def test_what_was_used_longest_ago_goes_first_whichever_encoder_said_it(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    encode(one, range(10))
    encode(other, range(20))
    use(one, range(5))
    use(other, range(10, 20))
    use(one, [4])
    # Of 30 rows 12 stay: those go that nobody is known to have used, and the four that were used first.
    assert trim(tmp_path, 15 * ROW, {other: names([0])})
    assert held(one) == [4]
    assert held(other) == [0, *range(10, 20)]
    encode(one, range(3))
    assert held(one) == [4, 0, 1, 2]


def test_a_cache_within_its_bound_stays(tmp_path: Path) -> None:
    encode(tmp_path / "one", range(10))
    assert not trim(tmp_path, 10 * ROW, {})
    assert held(tmp_path / "one") == [*range(10)]
    assert trim(tmp_path, 9 * ROW, {})
    assert held(tmp_path / "one") == [*range(3, 10)], "four fifths of it stay, and the first encoded go"


def test_what_a_run_needs_stays_though_it_is_more_than_the_bound(tmp_path: Path) -> None:
    encode(tmp_path / "one", range(10))
    encode(tmp_path / "other", range(10))
    needed = {tmp_path / "one": names(range(3, 10))}
    assert trim(tmp_path, ROW, needed)
    assert held(tmp_path / "one") == [*range(3, 10)]
    assert rows_in(tmp_path / "other").hashes() == []
    assert not trim(tmp_path, ROW, needed)


def test_who_has_selected_rows_keeps_them(tmp_path: Path) -> None:
    selected = encode(tmp_path / "one", range(10)).select(names([2, 7]))
    assert selected
    assert trim(tmp_path, ROW, {})
    assert rows_in(tmp_path / "one").select(names([2, 7])) is None
    assert selected[:][:, 0, 0, 0].tolist() == [2, 7]


def test_rows_that_move_while_they_are_looked_for_are_not_taken_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, memmap = encode(tmp_path / "one", range(10)), np.memmap

    def moved(*given: Any, **more: Any) -> Any:
        monkeypatch.setattr(np, "memmap", memmap)
        # As another process does, and a third one that adds as many rows.
        assert rows_in(tmp_path / "one").drop(names([0, 1]))
        encode(tmp_path / "one", range(20, 22))
        return memmap(*given, **more)

    monkeypatch.setattr(np, "memmap", moved)
    selected = rows.select(names([5, 9]))
    assert selected
    assert selected[:][:, 0, 0, 0].tolist() == [5, 9]


@pytest.mark.parametrize(
    ("place", "step"), [(FeatureRows, "_copy"), (Path, "replace"), (feature_rows, "_append")]
)
def test_a_killed_trimming_leaves_no_row_that_is_another_photos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Any, step: str
) -> None:
    do = getattr(place, step)

    def killed(*given: Any) -> None:
        do(*given)
        raise KeyboardInterrupt

    encode(tmp_path / "one", range(10))
    with monkeypatch.context() as patched:
        patched.setattr(place, step, killed)
        with pytest.raises(KeyboardInterrupt):
            trim(tmp_path, 5 * ROW, {})
    encode(tmp_path / "one", range(10))
    assert sorted(held(tmp_path / "one")) == [*range(10)]


def test_rows_are_left_alone_while_others_are_added_or_there_is_no_room_for_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: FeatureRows, rows: Sequence[int], target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    encode(tmp_path / "one", range(10))
    with rows_in(tmp_path / "one").adding(names([1])):
        assert not trim(tmp_path, ROW, {})
    monkeypatch.setattr(FeatureRows, "_copy", full)
    assert not trim(tmp_path, ROW, {})
    assert held(tmp_path / "one") == [*range(10)]
    assert {path.name for path in (tmp_path / "one").iterdir()} == {INDEX_FILE, ROWS_FILE}


def test_what_is_damaged_is_passed_over(tmp_path: Path) -> None:
    encode(tmp_path / "one", range(10))
    encode(tmp_path / "other", range(10))
    (tmp_path / "one" / INDEX_FILE).write_text("no JSON\n")
    assert trim(tmp_path, 5 * ROW, {})
    assert held(tmp_path / "other") == [6, 7, 8, 9]
