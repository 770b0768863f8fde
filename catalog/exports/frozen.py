"""A frozen dataset as the formats see it: photos in order, each with its captions, its file, a safe name."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog import manifests
from catalog.blobs import COPY_SIZE, BlobStore
from catalog.exports.names import Names, ending
from catalog.exports.pictures import Pictures
from catalog.manifests import FrozenCaption, FrozenItem
from catalog.schema import CaptionKind, Split


@dataclass(frozen=True)
class File:
    """A file of an export: where it lies below the folder, and its bytes, which are read once."""

    name: str
    pieces: Iterable[bytes]


@dataclass(frozen=True)
class Photo:
    """An item of the dataset; `number` counts from 1, `name` is safe, and no other photo's.

    `pictures` is None where captions are exported without pictures.
    """

    number: int
    name: str
    item: FrozenItem
    pictures: Pictures | None

    @property
    def captions(self) -> tuple[FrozenCaption, ...]:
        """Those that say what is to be seen, in whatever language: no alt texts and no descriptions."""
        return tuple(one for one in self.item.captions if one.kind == CaptionKind.CAPTION)

    @property
    def path(self) -> str:
        """Where whoever reads the captions finds the photo: among what is exported, or where it was."""
        return self.name if self.pictures else self.item.path

    @property
    def ending(self) -> str:
        return ending(self.name)

    def described(self) -> dict[str, Any]:
        """What each format says of the photo as far as it can: above all which original and file it is."""
        item = self.item
        return {
            "item_id": item.item_id,
            "item_path": item.path,
            "external_id": item.external_id,
            "rights": item.rights,
            "split": str(item.split),
            "sha256": item.sha256,
            "file_sha256": self.pictures.sha256(item) if self.pictures else None,
            "width": item.width,
            "height": item.height,
        }

    @contextmanager
    def local(self) -> Iterator[Path]:
        """The exported file on this disk. Raises MissingBlob, and ValueError where there is none."""
        if self.pictures is None:
            raise ValueError(f"photo {self.name} is exported without its file")
        with self.pictures.local(self.item) as path:
            yield path

    def pieces(self) -> Iterator[bytes]:
        """The bytes of the exported file."""
        with self.local() as path:
            yield from pieces_of(path)


@dataclass(frozen=True, kw_only=True)
class FrozenDataset:
    """What is exported, and how. `name` has the version in it; `sidecars` is where XMP sidecars lie.

    Each look at the photos reads the manifest anew, and so proves its hash: MissingBlob where it is damaged.
    """

    name: str
    manifest_sha256: str
    blobs: BlobStore
    pictures: Pictures | None
    sidecars: Path | None = None

    def photos(self, *, by_stem: bool = True) -> Iterator[Photo]:
        """All photos, in the order of the manifest; `by_stem` is explained at Names."""
        _, items = manifests.read(self.blobs, self.manifest_sha256)
        names = Names(by_stem=by_stem)
        for number, item in enumerate(items, start=1):
            own = self.pictures.ending(item) if self.pictures else ending(item.path)
            yield Photo(number, names.of(item.path, own), item, self.pictures)

    def captioned(self, split: Split | None = None) -> Iterator[Photo]:
        """The photos that have a caption, those of one split if it is named."""
        for photo in self.photos():
            if photo.captions and split in (None, photo.item.split):
                yield photo

    def splits(self) -> list[Split]:
        """The splits that captioned photos are in, in their order; `train` for an empty dataset."""
        found = {photo.item.split for photo in self.captioned()}
        return [split for split in Split if split in found] or [Split.TRAIN]

    def picture_files(self, folder: str, *, by_stem: bool = True, captioned: bool = True) -> Iterator[File]:
        """The pictures below a folder, or nothing where none are exported."""
        if self.pictures is None:
            return
        for photo in self.photos(by_stem=by_stem):
            if photo.captions or not captioned:
                yield File(f"{folder}{photo.name}", photo.pieces())


def pieces_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(COPY_SIZE):
            yield piece


def encoded(lines: Iterable[str]) -> Iterator[bytes]:
    return (line.encode() for line in lines)
