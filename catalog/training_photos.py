"""What a run learns from: the photos of its dataset, and earlier ones, so that little is forgotten."""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from sqlalchemy import Select, exists, or_, select
from sqlalchemy.orm import Session, aliased

from catalog import manifests, splits, withheld
from catalog.blobs import BlobStore
from catalog.captions import words
from catalog.dataset_languages import primary
from catalog.exports.training import TrainingPhoto
from catalog.items import may_train
from catalog.leaks import KEPT_FROM
from catalog.manifests import FrozenCaption, FrozenItem
from catalog.schema import (
    Dataset,
    DatasetImage,
    Image,
    Item,
    Job,
    ReviewState,
    Split,
    TrainingRun,
)

Source = Literal["dataset", "replay"]
# What training calls the splits that it sees.
SPLITS: dict[Split, Literal["train", "val"]] = {Split.TRAIN: "train", Split.VALIDATION: "val"}
UNREVIEWED = (ReviewState.UNCAPTIONED, ReviewState.PENDING)
# Earlier photos that are replayed where there are so many: a hundred learned again and again are learned by
# heart, and a few to validate on choose the epoch by chance.
LEAST_REPLAYED = {"train": 1000, "val": 200}


@dataclass(frozen=True)
class Unreviewed:
    """A photo of the collection that nobody has decided on, for the base to caption."""

    image_id: int
    sha256: str
    rendition: str


def of_dataset(
    blobs: BlobStore,
    dataset: Dataset,
    *,
    source: Source,
    origins: Collection[str] | None = None,
    language: str | None = None,
) -> list[TrainingPhoto]:
    """The photos of a dataset to learn from and to validate on, with their captions of these origins, or all.

    Of a `language` (without its region) alone, where one is given. Raises MissingBlob and DamagedManifest.
    """
    _, items = manifests.read(blobs, dataset.manifest_sha256)
    photos: dict[str, TrainingPhoto] = {}
    for item in items:
        texts = tuple(one.text for one in item.captions if _is_wanted(one, origins, language))
        if texts and item.split in SPLITS:
            # Items of equal bytes are one photo with the captions of both.
            before = photos[item.sha256].captions if item.sha256 in photos else ()
            photos[item.sha256] = _photo(item, before + texts, source)
    return list(photos.values())


def replayed(
    session: Session,
    blobs: BlobStore,
    new: Sequence[TrainingPhoto],
    base_id: int,
    *,
    share: float,
    seed: int,
    origins: Collection[str] | None = None,
    language: str | None = None,
) -> list[TrainingPhoto]:
    """Photos of the datasets that the base and its ancestors were trained on, drawn by the seed.

    There are as many as `replay_count` says, of those to validate on as well, as far as there are any, with
    their captions of these origins and this language. None is among the new ones or withheld by now.
    """
    earlier: dict[str, TrainingPhoto] = {}
    for dataset in earlier_datasets(session, base_id):
        for photo in of_dataset(blobs, dataset, source="replay", origins=origins, language=language):
            earlier.setdefault(photo.sha256, photo)
    left_out = withheld.held_back(session, earlier) | withheld.prohibited(session, earlier)
    for sha256 in left_out.union(photo.sha256 for photo in new):
        earlier.pop(sha256, None)
    chosen: list[TrainingPhoto] = []
    for split in SPLITS.values():
        of_split = [sha256 for sha256, photo in earlier.items() if photo.split == split]
        chosen += [earlier[sha256] for sha256 in drawn(of_split, replay_count(new, split, share), seed)]
    return chosen


def replay_count(new: Sequence[TrainingPhoto], split: Literal["train", "val"], share: float) -> int:
    """How many earlier photos of a split go with the new ones, so that `share` of all photos are earlier.

    They are no fewer than LEAST_REPLAYED, but for a share of 0, with which there are none.
    """
    if share == 0.0:
        return 0
    count = sum(photo.split == split for photo in new)
    return max(round(count * share / (1.0 - share)), LEAST_REPLAYED[split])


def earlier_datasets(session: Session, base_id: int) -> list[Dataset]:
    """The datasets that a checkpoint was trained on, then those of its base, and so on."""
    found: list[Dataset] = []
    seen: set[int] = set()
    checkpoint_id: int | None = base_id
    while checkpoint_id is not None and checkpoint_id not in seen:
        seen.add(checkpoint_id)
        made = (
            select(Dataset, Job.checkpoint_id)
            .join(TrainingRun, TrainingRun.dataset_id == Dataset.id)
            .join(Job, Job.id == TrainingRun.job_id)
            .where(TrainingRun.checkpoint_id == checkpoint_id)
        )
        row = session.execute(made).first()
        if row is None:
            break
        found.append(row[0])
        checkpoint_id = row[1]
    return found


def unreviewed(
    session: Session, dataset: Dataset, *, wanted: int, seed: int, without: Collection[str]
) -> list[Unreviewed]:
    """Photos of the dataset's collection that the base may be asked about, drawn by the seed.

    All of them are for training by their hash, and become so for good, so that none is ever drawn to measure.
    As in a dataset, none looks like a photo that is validated or measured on.
    """
    rows = [
        row
        for row in session.execute(_unreviewed(dataset)).all()
        if row.sha256 not in without and splits.of_hash(row.sha256) is Split.TRAIN
    ]
    like = withheld.near(session, {row.sha256: row.dhash for row in rows}, KEPT_FROM[Split.TRAIN])
    free = {
        row.sha256: Unreviewed(row.id, row.sha256, row.rendition) for row in rows if row.sha256 not in like
    }
    chosen = [free[sha256] for sha256 in drawn(free, wanted, seed)]
    splits.assign(session, [photo.image_id for photo in chosen])
    return chosen


def drawn(keys: Iterable[str], count: int, seed: int) -> list[str]:
    """So many of the keys, at random but always the same for a seed."""
    return sorted(keys, key=lambda key: hashlib.sha256(f"{seed}:{key}".encode()).digest())[:count]


def vocabulary(photos: Iterable[TrainingPhoto]) -> int:
    """How many different words the captions have, counted as the cards of datasets count them."""
    return len({word for photo in photos for text in photo.captions for word in words(text)})


def write_list(path: Path, photos: Iterable[TrainingPhoto]) -> None:
    """Keep what was chosen: a run goes on with the same photos, whatever people do meanwhile."""
    path.write_text(
        "".join(json.dumps(asdict(photo), ensure_ascii=False) + "\n" for photo in photos), encoding="utf-8"
    )


def read_list(path: Path) -> Iterator[TrainingPhoto]:
    """What `write_list` kept."""
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            row = json.loads(line)
            yield TrainingPhoto(**{**row, "captions": tuple(row["captions"])})


def _is_wanted(caption: FrozenCaption, origins: Collection[str] | None, language: str | None) -> bool:
    of_origins = origins is None or caption.origin in origins
    return of_origins and (language is None or primary(caption.language) == language)


def _photo(item: FrozenItem, captions: tuple[str, ...], source: Source) -> TrainingPhoto:
    return TrainingPhoto(
        sha256=item.sha256,
        rendition=item.rendition,
        split=SPLITS[item.split],
        captions=captions,
        source=source,
    )


def _unreviewed(dataset: Dataset) -> Select[int, str, str, int | None]:
    """What nobody has decided on anywhere, and everybody may train on."""
    other = aliased(Item)
    forbidden = or_(other.review_state.not_in(UNREVIEWED), other.training_prohibited)
    decided = exists().where(other.image_id == Image.id, forbidden)
    elsewhere = exists().where(DatasetImage.image_id == Image.id, DatasetImage.split != Split.TRAIN)
    return (
        select(Image.id, Image.sha256, Image.rendition, Image.dhash)
        .join(Item, Item.image_id == Image.id)
        .where(Item.collection_id == dataset.collection_id, may_train(), ~Item.flagged)
        .where(or_(Image.split.is_(None), Image.split == Split.TRAIN), ~decided, ~elsewhere)
        .distinct()
    )
