from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select

from catalog import collections, items, splits
from catalog.blobs.local import LocalBlobs
from catalog.database import Database
from catalog.ingest import ingest, pictures_of
from catalog.schema import Image, Item, Split, Tombstone
from pictures.sandbox import DecodingProcess


@pytest.mark.parametrize("split", [Split.TRAIN, Split.GOLDEN, None])
def test_a_photo_that_is_deleted_and_imported_again_has_its_split_again(
    database: Database,
    blobs: LocalBlobs,
    decoder: DecodingProcess,
    photo: Callable[..., Path],
    tmp_path: Path,
    split: Split | None,
) -> None:
    path = photo(tmp_path / "boat.jpg")
    with database.writing() as session:
        collection_id = collections.create(session, name="Harbour", owner=None).id
    for _ in range(2):
        list(ingest(database, blobs, decoder, collection_id, pictures_of(path)))
        with database.writing() as session:
            image = session.scalars(select(Image)).one()
            image.split = image.split or split
            items.remove(session, session.scalars(select(Item)).one(), user=None)
        with database.reading() as session:
            assert session.scalar(select(func.count()).select_from(Image)) == 0
            kept = session.execute(
                select(Tombstone.name, Tombstone.sha256).where(Tombstone.kind == splits.TOMBSTONE)
            ).all()
            # Once, however often it goes.
            assert kept == ([(split.value, image.sha256)] if split else [])
    list(ingest(database, blobs, decoder, collection_id, pictures_of(path)))
    with database.reading() as session:
        assert session.scalars(select(Image.split)).all() == [split]
