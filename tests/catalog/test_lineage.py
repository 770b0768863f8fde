"""Lineage, from a caption to what taught its writer, and from a photo to whom it taught."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from catalog import lineage, manifests
from catalog.blobs import BlobStore
from catalog.manifests import FrozenCaption, FrozenItem, Header
from catalog.schema import Caption, Checkpoint, Dataset, DatasetImage, DatasetKind, Item, Origin, Split, User

Filled = Callable[..., tuple[int, list[int], int]]
Freeze = Callable[..., Dataset]
Train = Callable[..., Checkpoint]


@pytest.fixture
def family(
    session: Session, filled: Filled, frozen: Freeze, trained: Train, blobs: BlobStore, tmp_path: Path
) -> list[Checkpoint]:
    """The starter, what was trained from it on two photos of Harbour, and what was trained from that."""
    harbour, item_ids, starter_id = filled(session, 3)
    items = [session.get_one(Item, item_id) for item_id in item_ids]
    splits = (Split.TRAIN, Split.TRAIN, Split.TEST)
    boats = frozen(session, harbour, "Boats", kind=DatasetKind.CURATED)
    boats.manifest_sha256 = blobs.put(manifest(tmp_path / "manifest", items, splits))
    for item, split in zip(items, splits, strict=True):
        session.add(DatasetImage(dataset_id=boats.id, image_id=item.image_id, item_id=item.id, split=split))
    starter = session.get_one(Checkpoint, starter_id)
    child = trained(session, "boats-1", boats, starter)
    grandchild = trained(session, "boats-2", frozen(session, None, "Mills"), child)
    session.add(Caption(item_id=item_ids[0], text="A boat.", origin=Origin.MODEL, checkpoint_id=child.id))
    session.flush()
    return [starter, child, grandchild]


def manifest(path: Path, items: list[Item], splits: tuple[Split, ...]) -> Path:
    origins = (("edited", "written"), ("edited",), ("bulk",))
    frozen = [
        FrozenItem(
            item_id=item.id,
            path=item.path,
            sha256="a" * 64,
            rendition="b" * 64,
            width=9,
            height=9,
            split=split,
            captions=tuple(
                FrozenCaption(text="A boat.", language="en", kind="caption", origin=origin) for origin in each
            ),
        )
        for item, split, each in zip(items, splits, origins, strict=True)
    ]
    header = Header(kind="curated", collection="Harbour", filter={}, guidelines="")
    manifests.write(path, header, frozen)
    return path


def test_a_caption_leads_to_the_corrections_that_taught_its_writer(
    session: Session, family: list[Checkpoint]
) -> None:
    caption = session.scalars(select(Caption)).one()
    found = lineage.of_caption(session, caption, viewer=None)
    assert found.checkpoint is family[1]
    assert found.run
    assert found.dataset
    assert (found.dataset.name, found.run.line) == ("Boats", "Boats")
    assert [dataset.name for dataset in found.frozen_in] == ["Boats"]
    assert list(found.taught) == [family[1]]


def test_a_checkpoint_leads_to_its_parents_and_to_what_came_of_it(
    session: Session, blobs: BlobStore, family: list[Checkpoint]
) -> None:
    starter, child, grandchild = family
    found = lineage.of_checkpoint(session, blobs, child, viewer=None)
    assert (found.parents, list(found.children)) == ([starter], [grandchild])
    assert (found.origins, found.captions) == ({"edited": 2, "written": 1}, 1)
    assert found.dataset
    assert list(lineage.of_dataset(session, found.dataset)) == [child]
    assert lineage.parents(session, grandchild) == [child, starter]
    assert sorted(lineage.datasets_behind(session, grandchild)) == sorted(
        session.scalars(select(Dataset.id)).all()
    )
    root = lineage.of_checkpoint(session, blobs, starter, viewer=None)
    assert (root.parents, root.run, root.dataset, root.origins) == ([], None, None, {})


def test_a_checkpoint_from_elsewhere_names_its_parent_by_the_weights(
    session: Session, family: list[Checkpoint], trained: Train
) -> None:
    uploaded, itself = trained(session, "uploaded"), trained(session, "itself")
    uploaded.description = {"lineage": {"parent_weights_sha256": family[0].weights_sha256}}
    itself.weights_sha256 = "7" * 64
    itself.description = {"lineage": {"parent_weights_sha256": "7" * 64}}
    session.flush()
    assert lineage.parents(session, uploaded) == [family[0]]
    assert lineage.parents(session, itself) == []


def test_a_long_line_costs_no_more_questions_than_a_short_one(
    session: Session, family: list[Checkpoint], frozen: Freeze, trained: Train
) -> None:
    statements: list[str] = []
    event.listen(session.connection(), "before_cursor_execute", lambda *said: statements.append(said[2]))

    def asked(checkpoint: Checkpoint) -> int:
        statements.clear()
        lineage.parents(session, checkpoint)
        return len(statements)

    dataset, newest = session.scalars(select(Dataset)).all()[0], family[2]
    few = asked(newest)
    for number in range(20):
        newest = trained(session, f"later {number}", dataset, newest)
    assert len(lineage.parents(session, newest)) == 22
    assert asked(newest) == few


def test_datasets_of_hidden_collections_are_named_to_nobody(
    session: Session, blobs: BlobStore, family: list[Checkpoint], new_user: Callable[..., User]
) -> None:
    stranger = new_user(session, "grace")
    caption = session.scalars(select(Caption)).one()
    found = lineage.of_caption(session, caption, viewer=stranger)
    assert (found.dataset, list(found.frozen_in), list(found.taught)) == (None, [], [])
    assert lineage.of_checkpoint(session, blobs, family[1], viewer=stranger).origins == {}
