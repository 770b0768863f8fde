"""What is told before freezing agrees with what freezing does."""

from collections.abc import Callable

import pytest
from sqlalchemy import update

from catalog import datasets, freeze_previews
from catalog.blobs.local import LocalBlobs
from catalog.database import Database
from catalog.errors import InvalidInput
from catalog.filters import EVERYTHING, ItemFilter
from catalog.schema import (
    Caption,
    CaptionKind,
    CaptionState,
    Collection,
    Dataset,
    Image,
    Item,
    Origin,
    Split,
)

Filled = Callable[..., tuple[int, list[int], int]]


@pytest.fixture
def harbour(database: Database, filled: Filled) -> int:
    """The id of a collection of eight photos, six of which are accepted: four as edited, two as imported."""
    with database.writing() as session:
        collection_id, item_ids, _ = filled(session, 8)
        for item_id in item_ids[:6]:
            origin = Origin.EDITED if item_id in item_ids[:4] else Origin.IMPORTED
            accepted = {"state": CaptionState.ACCEPTED, "origin": origin}
            session.add(Caption(item_id=item_id, text="A boat.", **accepted))
        session.add(Caption(item_id=item_ids[6], text="A model's.", origin=Origin.MODEL))
        alt = {"kind": CaptionKind.ALT, "state": CaptionState.ACCEPTED}
        session.add(Caption(item_id=item_ids[7], text="Boat", origin=Origin.WRITTEN, **alt))
        session.execute(update(Item).where(Item.id == item_ids[0]).values(training_prohibited=True))
        golden = session.get_one(Item, item_ids[1]).image_id
        session.execute(update(Image).where(Image.id == golden).values(split=Split.GOLDEN))
    return collection_id


def preview(database: Database, collection_id: int, wanted: ItemFilter) -> freeze_previews.Preview:
    with database.reading() as session:
        return freeze_previews.preview(session, session.get_one(Collection, collection_id), wanted)


@pytest.mark.parametrize("wanted", [EVERYTHING, ItemFilter(origin=Origin.EDITED), ItemFilter(path=".jpg")])
def test_the_preview_counts_what_is_frozen(
    database: Database, blobs: LocalBlobs, harbour: int, wanted: ItemFilter
) -> None:
    told = preview(database, harbour, wanted)
    frozen = datasets.freeze(database, blobs, harbour, "boats", wanted=wanted)
    with database.reading() as session:
        dataset = session.get_one(Dataset, frozen.dataset_id)
        assert (told.photos, told.captions) == (dataset.images, dataset.captions)
        assert (told.prohibited, told.golden) == (1, 1)
        assert dataset.card["left_out"]["prohibited"] == told.prohibited
        assert dataset.card["left_out"]["golden"] == told.golden


def test_what_is_left_out_is_counted_by_reason(database: Database, harbour: int) -> None:
    told = preview(database, harbour, EVERYTHING)
    assert told.origins == {Origin.EDITED: 2, Origin.IMPORTED: 2}
    assert (told.photos, told.unaccepted, told.prohibited, told.golden) == (4, 2, 1, 1)


def test_a_filter_for_other_texts_is_refused(database: Database, harbour: int) -> None:
    with pytest.raises(InvalidInput, match="datasets hold captions"):
        preview(database, harbour, ItemFilter(kind=CaptionKind.ALT))


def test_names_of_earlier_versions_are_offered_once(
    database: Database, blobs: LocalBlobs, harbour: int
) -> None:
    for name, wanted in (
        ("boats", EVERYTHING),
        ("boats", ItemFilter(origin=Origin.EDITED)),
        ("all", EVERYTHING),
    ):
        datasets.freeze(database, blobs, harbour, name, wanted=wanted)
    with database.reading() as session:
        assert freeze_previews.lines(session, session.get_one(Collection, harbour)) == ["all", "boats"]
