"""The folder that a captioner is trained and measured on: renditions, and a Karpathy JSON beside them."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from catalog.blobs import BlobStore
from catalog.errors import Conflict, InvalidInput, MissingBlob
from catalog.exports import karpathy
from catalog.exports.folders import whole_folder

DESCRIPTION = "dataset.json"
IMAGES = "images"

Counts = dict[str, dict[str, int]]
"""How many photos of each source there are in each split."""


@dataclass(frozen=True, kw_only=True)
class TrainingPhoto:
    """A photo and its captions; `sha256` is of the original, `rendition` of what is trained on."""

    sha256: str
    rendition: str
    split: Literal["train", "val", "test", "golden"]
    captions: tuple[str, ...]
    source: Literal["dataset", "replay", "distilled", "golden"]


def write_training_folder(
    blobs: BlobStore,
    parts: Iterable[TrainingPhoto],
    folder: Path,
    *,
    gone: Callable[[TrainingPhoto], None] | None = None,
) -> Counts:
    """Write `dataset.json` and `images/`, as `recaption train --data` reads them; replaces the folder.

    The folder is there whole or not at all. A photo may come twice, but in one split only, or Conflict is
    raised; InvalidInput for one without a caption, MissingBlob for a rendition that is gone or damaged, and
    StorageFull. With `gone`, an empty file stands for such a rendition, and `gone` is told of the photo.
    """
    counts: Counter[tuple[str, str]] = Counter()
    with whole_folder(folder, replaces=True) as staged:
        (staged / IMAGES).mkdir()
        with (staged / DESCRIPTION).open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(
                karpathy.document(_images(blobs, parts, staged / IMAGES, counts, gone), "training")
            )
    return _by_split(counts)


def _images(
    blobs: BlobStore,
    parts: Iterable[TrainingPhoto],
    folder: Path,
    counts: Counter[tuple[str, str]],
    gone: Callable[[TrainingPhoto], None] | None,
) -> Iterator[dict[str, Any]]:
    """What the JSON says of each photo, once its rendition lies in the folder."""
    splits: dict[str, str] = {}
    for photo in parts:
        _check(photo, splits.get(photo.sha256, photo.split))
        name = f"{photo.sha256}.jpg"
        if photo.sha256 not in splits:
            _copy(blobs, photo, folder / name, gone)
        splits[photo.sha256] = photo.split
        counts[photo.split, photo.source] += 1
        yield karpathy.image(
            filename=name,
            filepath=IMAGES,
            split=photo.split,
            sentences=[{"raw": caption} for caption in photo.captions],
            sha256=photo.sha256,
            source=photo.source,
        )


def _copy(
    blobs: BlobStore, photo: TrainingPhoto, target: Path, gone: Callable[[TrainingPhoto], None] | None
) -> None:
    """Its own bytes, no link: whoever changes a file of the folder shall change no blob."""
    try:
        blobs.copy_to(photo.rendition, target)
    except MissingBlob:
        if gone is None:
            raise
        target.write_bytes(b"")
        gone(photo)


def _check(photo: TrainingPhoto, other_split: str) -> None:
    if not photo.captions or not all(caption.strip() for caption in photo.captions):
        raise InvalidInput(f"photo {photo.sha256[:12]} has no caption or an empty one; leave it out")
    if photo.split != other_split:
        raise Conflict(
            f"photo {photo.sha256[:12]} stands in the splits {other_split} and {photo.split}; "
            "take it out of one"
        )


def _by_split(counts: Counter[tuple[str, str]]) -> Counts:
    found: Counts = {}
    for (split, source), photos in sorted(counts.items()):
        found.setdefault(split, {})[source] = photos
    return found
