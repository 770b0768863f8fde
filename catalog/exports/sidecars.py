"""Texts beside photos: `pier.txt` with the captions, or `pier.tif.xmp`, which archives read."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from catalog.errors import InvalidInput
from catalog.exports.frozen import File, FrozenDataset, Photo
from catalog.sidecar_texts import caption_lines, read_sidecar, xmp_with


def txt_files(dataset: FrozenDataset) -> Iterator[File]:
    """The captions of each photo, one a line; the ends of lines within a caption become blanks."""
    yield from dataset.picture_files("")
    for photo in dataset.captioned():
        yield File(f"{photo.name.removesuffix(photo.ending)}.txt", [caption_lines(photo.captions)])


def xmp_files(dataset: FrozenDataset) -> Iterator[File]:
    """All texts of each photo, merged into the sidecar that it has. Raises InvalidInput for a bad one.

    The name has the ending of the photo in it: pier.jpg and pier.tif may lie in one folder.
    """
    yield from dataset.picture_files("", by_stem=False, captioned=False)
    for photo in dataset.photos(by_stem=False):
        yield File(f"{photo.name}.xmp", [_xmp(dataset, photo)])


def _xmp(dataset: FrozenDataset, photo: Photo) -> bytes:
    path = _existing(dataset.sidecars, photo.item.path) if dataset.sidecars else None
    try:
        return xmp_with(read_sidecar(path) if path else None, photo.item.captions)
    except (ValueError, OSError) as error:
        raise InvalidInput(f'"{path or photo.item.path}" {error}; mend it, or take it away') from error


def _existing(folder: Path, path: str) -> Path | None:
    """The sidecar of an item below a folder, as an import finds it: of the long name or the short one."""
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        return None
    long, short = f"{path}.xmp", str(PurePosixPath(path).with_suffix(".xmp"))
    names = [long, f"{path}.XMP", short, str(PurePosixPath(path).with_suffix(".XMP"))]
    return next((folder / name for name in names if os.path.lexists(folder / name)), None)
