"""WebDataset: tar shards of samples, each a picture, its first caption and a JSON with everything."""

import json
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import chain

from catalog.exports.frozen import File, FrozenDataset, Photo, pieces_of
from catalog.exports.imagefolder import numbered
from catalog.schema import Split

SAMPLES = 1000  # of a shard


def files(dataset: FrozenDataset) -> Iterator[File]:
    """`train-000000.tar` and so on. The keys of samples are numbers: a dot in a name would end the key."""
    for split in dataset.splits():
        for number, photos in enumerate(_shards(dataset, split)):
            yield File(f"{split}-{number:06}.tar", _tar(photos))


def _shards(dataset: FrozenDataset, split: Split) -> Iterator[Iterator[Photo]]:
    """The photos of a split, SAMPLES at a time, none of which is held longer than it is used."""
    photos = dataset.captioned(split)
    for first in photos:
        yield chain([first], (photo for _, photo in zip(range(SAMPLES - 1), photos, strict=False)))


def _tar(photos: Iterable[Photo]) -> Iterator[bytes]:
    length = 0
    for piece in chain.from_iterable(map(_sample, photos)):
        length += len(piece)
        yield piece
    yield bytes(2 * tarfile.BLOCKSIZE + -(length + 2 * tarfile.BLOCKSIZE) % tarfile.RECORDSIZE)


def _sample(photo: Photo) -> Iterator[bytes]:
    key = numbered(photo)
    if photo.pictures:
        with photo.local() as path:
            yield from _member(f"{key}{photo.ending.lower()}", path.stat().st_size, pieces_of(path))
    described = {**photo.described(), "captions": [asdict(caption) for caption in photo.captions]}
    for ending, text in (
        ("json", json.dumps(described, ensure_ascii=False)),
        ("txt", photo.captions[0].text),
    ):
        content = text.encode()
        yield from _member(f"{key}.{ending}", len(content), [content])


def _member(name: str, size: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
    info = tarfile.TarInfo(name)
    info.size = size
    yield info.tobuf(format=tarfile.GNU_FORMAT)
    yield from pieces
    yield bytes(-size % tarfile.BLOCKSIZE)
