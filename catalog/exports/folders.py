"""Folders that appear whole or not at all: filled beside their place under another name, then renamed."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from catalog.errors import Conflict, InvalidInput
from catalog.space import is_full, room_in

STAGED = ".part"


@contextmanager
def whole_folder(folder: Path, *, replaces: bool = False) -> Iterator[Path]:
    """An empty folder to fill while the block runs; it takes its place when the block ends well.

    An empty folder that is there already stays: what was made is moved into it. What a killed process had
    begun is thrown away. Raises StorageFull where no room is left, Conflict where the folder holds something,
    unless it is to be replaced, and InvalidInput where nothing can be made.
    """
    place = folder.resolve()
    if not replaces:
        _refuse_what_is_there(place)
    # Somebody may stand in that folder, or it may be a disk of its own.
    stays = place.is_dir() and not replaces
    staged = place / STAGED if stays else place.with_name(f".{place.name}{STAGED}")
    with room_in(staged.parent):
        shutil.rmtree(staged, ignore_errors=True)
        try:
            with _makeable(place):
                staged.mkdir(parents=True)
            yield staged
            with _makeable(place):
                _move_into(place, staged) if stays else _put_in_place(place, staged)
        finally:
            shutil.rmtree(staged, ignore_errors=True)


def _refuse_what_is_there(place: Path) -> None:
    if place.is_dir() and any(path.name != STAGED for path in place.iterdir()):
        raise Conflict(f'"{place}" is not empty; name a new folder, such as "{place / "export"}"')
    if place.exists() and not place.is_dir():
        raise Conflict(f'"{place}" is a file; name a new folder')


def _move_into(place: Path, staged: Path) -> None:
    for path in sorted(staged.iterdir()):
        path.rename(place / path.name)


def _put_in_place(place: Path, staged: Path) -> None:
    aside = place.with_name(f".{place.name}.old")
    shutil.rmtree(aside, ignore_errors=True)
    if place.exists():
        # Removed where it is, a part of it would be left for a while.
        place.rename(aside)
    staged.rename(place)
    shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _makeable(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise
        raise InvalidInput(f'"{place}" cannot be made: {error.strerror}; name a folder elsewhere') from error
