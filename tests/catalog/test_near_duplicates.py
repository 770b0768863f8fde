"""Photos that look alike: grouped, kept and skipped."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image as Picture
from PIL import ImageEnhance
from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog import captions, collections, items, near_duplicates
from catalog.blobs import BlobStore
from catalog.commands import duplicates_command, import_command
from catalog.database import Database
from catalog.errors import Conflict
from catalog.ingest import ingest, pictures_of
from catalog.schema import (
    Caption,
    CaptionKind,
    CaptionState,
    Collection,
    Image,
    Item,
    Origin,
    Tombstone,
    User,
)
from pictures.sandbox import DecodingProcess

Filled = Callable[..., tuple[int, list[int], int]]
Hashed = Callable[..., tuple[Collection, list[int]]]
BASE = 0x0F0F_5A5A_3C3C_7171


@pytest.fixture
def hashed(session: Session, filled: Filled) -> Hashed:
    """A function that makes a collection whose items' pictures have these hashes."""

    def make(*hashes: int | None, name: str = "Harbour") -> tuple[Collection, list[int]]:
        collection_id, item_ids, _ = filled(session, len(hashes), name)
        for item_id, dhash in zip(item_ids, hashes, strict=True):
            items.get(session, item_id, viewer=None).image.dhash = dhash
        session.flush()
        return session.get_one(Collection, collection_id), item_ids

    return make


def flipped(*bits: int) -> int:
    return BASE ^ sum(1 << bit for bit in bits)


def groups(session: Session, collection: Collection) -> list[list[int]]:
    found = near_duplicates.every(session, collection)
    return [sorted(twin.item.id for twin in group.twins) for group in found]


def test_groups_are_chains_of_small_distances(session: Session, hashed: Hashed) -> None:
    far = ~BASE
    collection, ids = hashed(
        far, BASE, flipped(0, 20, 40, 60), flipped(0, 20, 40, 60, 1, 21, 41, 61), far ^ 1, 0x1234_5678
    )
    assert groups(session, collection) == [[ids[0], ids[4]], [ids[1], ids[2], ids[3]]]


def test_five_bits_are_another_picture(session: Session, hashed: Hashed) -> None:
    collection, _ = hashed(BASE, flipped(0, 20, 40, 60, 62))
    assert groups(session, collection) == []


def test_blank_and_unhashed_pictures_are_only_found_by_their_bytes(session: Session, hashed: Hashed) -> None:
    collection, ids = hashed(0, 0, None, None, 1, 2)
    assert groups(session, collection) == [[ids[4], ids[5]]]
    session.get_one(Item, ids[1]).image_id = session.get_one(Item, ids[0]).image_id
    session.get_one(Item, ids[3]).image_id = session.get_one(Item, ids[2]).image_id
    session.flush()
    session.expire_all()
    assert groups(session, collection) == [ids[0:2], ids[2:4], ids[4:6]]
    assert near_duplicates.page(session, collection).unhashed == 2


def test_the_same_bytes_are_told_from_what_only_looks_alike(session: Session, hashed: Hashed) -> None:
    collection, ids = hashed(BASE, BASE, flipped(3))
    session.get_one(Item, ids[2]).image_id = session.get_one(Item, ids[0]).image_id
    session.flush()
    session.expire_all()
    (group,) = near_duplicates.page(session, collection).groups
    assert {twin.item.id: twin.identical for twin in group.twins} == {
        ids[0]: True,
        ids[1]: False,
        ids[2]: True,
    }


def test_other_collections_are_not_looked_into(session: Session, hashed: Hashed) -> None:
    collection, _ = hashed(BASE)
    other, _ = hashed(BASE, name="Attic")
    assert groups(session, collection) == groups(session, other) == []


def test_a_kept_group_comes_back_when_another_twin_arrives(
    session: Session, hashed: Hashed, filled: Filled
) -> None:
    collection, ids = hashed(BASE, flipped(1), flipped(2))
    other, (stranger, *_) = hashed(BASE, flipped(9), name="Attic")
    assert near_duplicates.keep(session, collection, [*ids[:2], stranger]) == 2
    assert groups(session, collection) == [ids]
    assert near_duplicates.keep(session, collection, ids) == 3
    assert groups(session, collection) == []
    assert len(groups(session, other)) == 1
    newcomer = items.get(session, stranger, viewer=None)
    newcomer.collection_id, newcomer.position = collection.id, 99
    session.flush()
    (group,) = near_duplicates.page(session, collection).groups
    assert [twin.item.id for twin in group.twins] == [stranger, *ids]
    assert [twin.item.twins_kept for twin in group.twins] == [False, True, True, True]


def test_of_a_large_group_those_nobody_kept_are_shown_first(
    session: Session, hashed: Hashed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near_duplicates, "SHOWN", 3)
    monkeypatch.setattr(near_duplicates, "ITEMS_AT_A_TIME", 2)
    collection, ids = hashed(*[BASE] * 5)
    seen = []
    while found := near_duplicates.page(session, collection).groups:
        assert (found[0].id, found[0].size) == (ids[0], 5)
        seen.append([twin.item.id for twin in found[0].twins])
        near_duplicates.keep(session, collection, seen[-1])
    assert seen == [ids[:3], [*ids[3:], ids[0]]]
    near_duplicates.keep(session, collection, [])


def test_pages_meet_without_a_gap_while_groups_are_kept(
    session: Session, hashed: Hashed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near_duplicates, "ROWS_AT_A_TIME", 3)
    noise = np.random.default_rng(0)
    hashes = [int(value) for value in noise.integers(-(1 << 63), 1 << 63, 7)]
    collection, ids = hashed(*hashes, *hashes)
    first = near_duplicates.page(session, collection, limit=3)
    assert (first.total, first.after, [group.id for group in first.groups]) == (7, ids[2], ids[:3])
    near_duplicates.keep(session, collection, [ids[2], ids[9]])
    second = near_duplicates.page(session, collection, after=first.after, limit=3)
    assert (second.total, second.after, [group.id for group in second.groups]) == (6, ids[5], ids[3:6])
    third = near_duplicates.page(session, collection, after=second.after, limit=3)
    assert (third.after, [group.id for group in third.groups]) == (None, ids[6:7])


def test_skipping_leaves_a_tombstone_with_the_name_of_who_did_it(
    session: Session, hashed: Hashed, new_user: Callable[..., User]
) -> None:
    collection, ids = hashed(BASE, BASE)
    user, item = new_user(session, "Ada"), items.get(session, ids[0], viewer=None)
    keys = near_duplicates.skip(session, item, user=user)
    assert keys == [item.image.sha256]
    assert session.scalars(select(Item.id)).all() == ids[1:]
    tombstone = session.scalars(select(Tombstone)).one()
    assert (tombstone.kind, tombstone.name, tombstone.user_id) == ("item", "0000.jpg", user.id)
    assert groups(session, collection) == []


def test_what_people_worked_on_is_only_skipped_when_they_say_so_twice(
    session: Session, hashed: Hashed
) -> None:
    collection, ids = hashed(BASE, BASE)
    item = items.get(session, ids[0], viewer=None)
    captions.write(session, item, text="Two boats.", user=None)
    (group,) = near_duplicates.page(session, collection).groups
    assert [(twin.touched, twin.caption and twin.caption.text) for twin in group.twins] == [
        (True, "Two boats."),
        (False, None),
    ]
    with pytest.raises(Conflict, match=r"people worked on '0000.jpg'"):
        near_duplicates.skip(session, item, user=None)
    assert len(session.scalars(select(Item.id)).all()) == 2
    near_duplicates.skip(session, item, user=None, confirmed=True)
    assert session.scalars(select(Item.id)).all() == ids[1:]


def test_texts_of_every_kind_are_work_of_people(session: Session, hashed: Hashed) -> None:
    collection, ids = hashed(BASE, BASE)
    alt = {"item_id": ids[0], "text": "Boats", "kind": CaptionKind.ALT, "state": CaptionState.ACCEPTED}
    came_along = Caption(**alt, origin=Origin.IMPORTED)
    session.add(came_along)
    session.flush()
    item = items.get(session, ids[0], viewer=None)
    (group,) = near_duplicates.page(session, collection).groups
    assert not group.twins[0].touched  # it stands in the picture still
    came_along.version = 2
    session.flush()
    with pytest.raises(Conflict, match="people worked on"):
        near_duplicates.skip(session, item, user=None)


@pytest.fixture
def album(photo: Callable[..., Path], tmp_path: Path) -> Path:
    """A photo, the same bytes again, a smaller and brighter copy, and another photo."""
    folder = tmp_path / "album"
    photo(folder / "boats.jpg", 1, (480, 320))
    (folder / "copy.jpg").write_bytes((folder / "boats.jpg").read_bytes())
    with Picture.open(folder / "boats.jpg") as picture:
        small = ImageEnhance.Brightness(picture.resize((240, 160))).enhance(1.1)
        small.save(folder / "small.jpg", quality=40)
    photo(folder / "mill.jpg", 2, (480, 320))
    return folder


def test_an_import_finds_resized_copies(
    database: Database, blobs: BlobStore, decoder: DecodingProcess, album: Path
) -> None:
    with database.writing() as session:
        collection = collections.create(session, name="Harbour", owner=None)
    list(ingest(database, blobs, decoder, collection.id, pictures_of(album)))
    with database.reading() as session:
        (group,) = near_duplicates.page(session, collection).groups
        assert {twin.item.path: twin.identical for twin in group.twins} == {
            "boats.jpg": True,
            "copy.jpg": True,
            "small.jpg": False,
        }
        assert len(session.scalars(select(Image.dhash).where(Image.dhash.is_not(None))).all()) == 3


def test_the_command_lists_groups(album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECAPTION_HOME", str(tmp_path / "home"))
    run = CliRunner()
    assert run.invoke(import_command, ["Harbour", str(album)]).exit_code == 0
    said = run.invoke(duplicates_command, ["Harbour", "--json"])
    (group,) = json.loads(said.output)
    assert [item["path"] for item in group["items"]] == ["boats.jpg", "copy.jpg", "small.jpg"]
    assert [item["identical"] for item in group["items"]] == [True, True, False]
    assert group["items"][2] | {"width": 240, "height": 160, "kept": False} == group["items"][2]
    said = run.invoke(duplicates_command, ["Harbour"])
    assert "small.jpg" in said.output
    assert "1 group of near-duplicates in 'Harbour'" in said.output
