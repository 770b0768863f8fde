"""A collection whose captions people have corrected, and a tiny captioner to go on from."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import torch
from PIL import Image as Pillow
from sqlalchemy import select

from catalog import checkpoints, collections, datasets, training_jobs
from catalog.blobs import BlobStore
from catalog.database import Database
from catalog.schema import (
    Caption,
    CaptionState,
    Checkpoint,
    CheckpointState,
    Collection,
    Dataset,
    Image,
    Item,
    Origin,
    ReviewState,
)
from model.captioner import build_captioner, preprocessing_of
from model.checkpoint import save_checkpoint
from model.config import Recipe, override
from model.description import Description
from model.vocabulary import SPECIALS, Vocabulary
from tests.model.conftest import SMALL, WORDS, draw

PHOTOS = 90  # of which about 72 are to train on and 9 to validate on
THINGS = ("boat", "ship", "crane", "gull", "pier", "net", "rope", "tower", "lamp", "buoy", "wave", "shed")
PLACES = ("the harbour", "the snow", "a wet street", "the old market", "calm water")
QUICK = ("training.epochs=3", "training.patience=0", "training.batch_size=8", "training.tensorboard=false")


def tiny_base(folder: Path, name: str = "tiny") -> Path:
    """A random captioner for photos of 64 pixels that trains in seconds."""
    torch.manual_seed(7)
    recipe = override(Recipe(), (*SMALL, "training.save_minutes=0"))
    vocabulary = Vocabulary((*SPECIALS, *WORDS))
    captioner = build_captioner(recipe, vocabulary)
    description = Description(
        name=name, recipe=recipe, vocabulary=vocabulary, preprocessing=preprocessing_of(recipe)
    )
    save_checkpoint(folder, captioner.state_dict(), description)
    return folder


def register_base(database: Database, blobs: BlobStore, folder: Path) -> int:
    """Make a checkpoint folder the active checkpoint; returns its id."""
    with database.writing() as session:
        for other in session.scalars(select(Checkpoint)).all():
            other.state = CheckpointState.RETIRED
        session.flush()
        return checkpoints.register(session, blobs, folder, state=CheckpointState.ACTIVE).id


def collect(
    database: Database,
    blobs: BlobStore,
    name: str,
    *,
    corrected: int = PHOTOS,
    waiting: int = 0,
    seed: int = 0,
) -> int:
    """A collection of photos with accepted captions, and of some without; returns its id."""
    with database.writing() as session:
        collection_id = collections.create(session, name=name, owner=None).id
        for number in range(corrected + waiting):
            item = Item(
                collection_id=collection_id,
                image_id=_image(database, blobs, session, 1000 * seed + number),
                path=f"{number:04}.jpg",
                position=number + 1,
                review_state=ReviewState.ACCEPTED if number < corrected else ReviewState.UNCAPTIONED,
            )
            session.add(item)
            session.flush()
            if number < corrected:
                session.add(_caption(item.id, number))
    return collection_id


def frozen(database: Database, blobs: BlobStore, collection_id: int, name: str) -> int:
    """The collection's captions as a dataset; returns its id."""
    return datasets.freeze(database, blobs, collection_id, name).dataset_id


def start(
    database: Database, dataset_id: int, base_id: int, *, overrides: Sequence[str] = QUICK, **options: object
) -> int:
    """A train job; returns its id."""
    with database.writing() as session:
        job = training_jobs.create(
            session,
            session.get_one(Dataset, dataset_id),
            base=session.get_one(Checkpoint, base_id),
            recipe=None,
            user=None,
            overrides=overrides,
            **options,  # type: ignore[arg-type]
        )
        return job.id


def collection_of(database: Database, name: str) -> Collection:
    with database.reading() as session:
        return collections.by_name(session, name)


def _image(database: Database, blobs: BlobStore, session: object, number: int) -> int:
    written = BytesIO()
    Pillow.fromarray(draw(number, 64, 64)).save(written, "JPEG", quality=90)
    key = blobs.put(written.getvalue())
    image = Image(sha256=key, rendition=key, format="JPEG", bytes=1000, width=64, height=64)
    session.add(image)  # type: ignore[attr-defined]
    session.flush()  # type: ignore[attr-defined]
    return image.id


def _caption(item_id: int, number: int) -> Caption:
    thing, other = THINGS[number % len(THINGS)], THINGS[number // 7 % len(THINGS)]
    return Caption(
        item_id=item_id,
        text=f"A {thing} and a {other} in {PLACES[number % len(PLACES)]}.",
        state=CaptionState.ACCEPTED,
        origin=Origin.WRITTEN if number % 3 else Origin.EDITED,
    )
