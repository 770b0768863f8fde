"""Pages of datasets: frozen from a filter, looked at, compared, downloaded and deleted."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select, update

from catalog import datasets
from catalog.blobs import open_blobs
from catalog.database import Database
from catalog.schema import (
    Caption,
    Dataset,
    Image,
    Item,
    Job,
    JobKind,
    Membership,
    Origin,
    Split,
    TrainingRun,
    User,
)
from catalog.settings import Settings
from tests.dashboard.visitor import Visitor

Accepted = Callable[..., list[int]]


def freeze_again(database: Database, settings: Settings, collection: int) -> int:
    return datasets.freeze(database, open_blobs(settings), collection, "harbour").dataset_id


def test_the_preview_counts_captions_by_origin_and_what_is_left_out(
    admin: Visitor, database: Database, collection: int, accepted: Accepted
) -> None:
    ids = accepted(4, Origin.EDITED)
    with database.writing() as session:
        session.execute(update(Item).where(Item.id == ids[0]).values(training_prohibited=True))
        image = select(Item.image_id).where(Item.id == ids[1]).scalar_subquery()
        session.execute(update(Image).where(Image.id == image).values(split=Split.GOLDEN))
        session.execute(update(Caption).where(Caption.item_id == ids[2]).values(state="rejected"))
    page = admin.get(f"/collections/{collection}/freeze").text
    assert "<strong>1 accepted caption</strong> of 1 photo, from all photos." in page
    assert "corrected by a person" in page
    assert "1 photo without an accepted caption" in page
    assert "1 photo whose file forbids training" in page
    assert "1 photo of golden sets" in page


def test_nothing_accepted_leaves_nothing_to_freeze(
    admin: Visitor, collection: int, new_items: Callable[[int], list[int]]
) -> None:
    new_items(2)
    assert "Nothing to freeze yet" in admin.get(f"/collections/{collection}/freeze").text
    refused = admin.submit(f"/collections/{collection}/freeze", {"name": "harbour"})
    assert refused.status_code == 422
    assert "accept some first" in refused.text


def test_a_filter_is_frozen_and_the_dataset_shows_its_card(
    admin: Visitor, collection: int, accepted: Accepted
) -> None:
    accepted(3)
    address = f"/collections/{collection}/freeze"
    assert 'name="path" value="0001"' in admin.get(f"{address}?path=0001").text
    answer = admin.submit(address, {"name": "harbour", "path": "0001"}, follow_redirects=True)
    assert answer.status_code == 200
    page = answer.text
    assert "harbour<span" in page
    assert 'href="/retrain?dataset=1"' in page
    assert "1 caption of 1 photo" in page
    assert "with “0001” in the file name" in page
    assert "0001.png" in page
    assert "0002.png" not in page
    again = admin.submit(address, {"name": "harbour", "path": "0001"}, follow_redirects=True).text
    assert "Nothing has changed since version 1" in again
    assert 'value="harbour"' in admin.get(address).text


@pytest.mark.parametrize("name", ["", "har@bour", "x" * 300])
def test_a_name_that_cannot_be_is_refused(
    admin: Visitor, collection: int, accepted: Accepted, name: str
) -> None:
    accepted(1)
    refused = admin.submit(f"/collections/{collection}/freeze", {"name": name})
    assert refused.status_code == 422
    assert "cannot name a dataset" in refused.text


def test_the_list_shows_what_the_viewer_may_see(
    admin: Visitor, reviewer: Visitor, database: Database, collection: int, frozen: int
) -> None:
    assert "3 photos" in admin.get("/datasets").text
    assert "No datasets yet" in reviewer.get("/datasets").text
    for part in ("", "/differences", "/download", "/delete"):
        assert reviewer.get(f"/datasets/{frozen}{part}").status_code == 404
    assert reviewer.submit(f"/datasets/{frozen}/delete", {}).status_code == 404
    assert reviewer.get(f"/collections/{collection}/freeze").status_code == 404
    assert reviewer.submit(f"/collections/{collection}/freeze", {"name": "mine"}).status_code == 404
    with database.writing() as session:
        bob = session.scalars(select(User.id).where(User.name == "bob")).one()
        session.add(Membership(collection_id=collection, user_id=bob))
    assert "harbour" in reviewer.get("/datasets").text
    assert reviewer.get(f"/datasets/{frozen}").status_code == 200


def test_two_versions_are_compared_word_by_word(
    admin: Visitor, database: Database, settings: Settings, collection: int, frozen: int
) -> None:
    with database.writing() as session:
        first, second, _ = session.scalars(select(Caption).order_by(Caption.id))
        first.text, first.version = "A red boat at pier 1.", 2
        second.state = "rejected"
    newer = freeze_again(database, settings, collection)
    shown = admin.get(f"/datasets/{newer}").text
    assert f"/datasets/{newer}/differences?against={frozen}" in shown
    page = admin.get(f"/datasets/{newer}/differences?against={frozen}").text
    assert "A<ins> red</ins> boat" in page
    assert "1 changed" in page
    assert "1 removed" in page
    assert "A boat at pier 2." in page
    assert "A<ins> red</ins> boat" in admin.get(f"/datasets/{newer}/differences").text


def test_a_photo_that_left_the_collection_keeps_its_captions_and_shows_no_picture(
    admin: Visitor, database: Database, frozen: int
) -> None:
    with database.reading() as session:
        item_id = session.scalars(select(Item.id).order_by(Item.id)).first()
    assert admin.call("DELETE", f"/items/{item_id}").status_code == 204
    page = admin.get(f"/datasets/{frozen}").text
    assert page.count("Not in the collection any more") == 1
    assert page.count("/thumbnail") == 2
    assert "A boat at pier 1." in page


def test_items_come_in_pages(
    admin: Visitor, database: Database, settings: Settings, collection: int, accepted: Accepted
) -> None:
    accepted(61)
    dataset = freeze_again(database, settings, collection)
    first = admin.get(f"/datasets/{dataset}").text
    assert first.count("/thumbnail") == 60
    assert f"/datasets/{dataset}?after=60" in first
    last = admin.get(f"/datasets/{dataset}?after=60").text
    assert last.count("/thumbnail") == 1
    assert "More photos" not in last


def test_a_download_is_a_whole_zip_with_or_without_pictures(admin: Visitor, frozen: int) -> None:
    answer = admin.get(f"/datasets/{frozen}/download?format=jsonl&images=y")
    assert answer.mimetype == "application/zip"
    assert "harbour-1-jsonl.zip" in answer.headers["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        assert archive.testzip() is None
        assert len([name for name in archive.namelist() if name.endswith((".jpg", ".png"))]) == 3
    bare = admin.get(f"/datasets/{frozen}/download?format=jsonl")
    with zipfile.ZipFile(io.BytesIO(bare.data)) as archive:
        assert not [name for name in archive.namelist() if name.endswith((".jpg", ".png"))]
    assert admin.get(f"/datasets/{frozen}/download?format=docx").status_code == 422


def test_a_dataset_is_deleted_unless_something_was_trained_on_it(
    admin: Visitor, database: Database, settings: Settings, collection: int, frozen: int
) -> None:
    assert "3 photos" in admin.get(f"/datasets/{frozen}/delete").text
    with database.writing() as session:
        session.add(job := Job(kind=JobKind.TRAIN, collection_id=collection))
        session.flush()
        session.add(TrainingRun(job_id=job.id, dataset_id=frozen, line="harbour"))
    refused = admin.submit(f"/datasets/{frozen}/delete", {})
    assert refused.status_code == 409
    assert "trains on it" in refused.text
    with database.writing() as session:
        session.execute(update(TrainingRun).values(dataset_id=None))
    gone = admin.submit(f"/datasets/{frozen}/delete", {}, follow_redirects=True)
    assert "“harbour@1” is deleted" in gone.text
    assert admin.get(f"/datasets/{frozen}").status_code == 404


def test_a_damaged_manifest_is_told_and_its_card_stays(
    admin: Visitor, database: Database, settings: Settings, frozen: int
) -> None:
    with database.reading() as session:
        key = session.scalars(select(Dataset.manifest_sha256)).one()
    manifest = Path(settings.home, "blobs", key[:2], key)
    manifest.write_bytes(manifest.read_bytes().replace(b"boat", b"ship"))
    page = admin.get(f"/datasets/{frozen}")
    assert page.status_code == 200
    assert "manifest of this dataset is damaged" in page.text
    assert "Vocabulary" in page.text
    assert admin.get(f"/datasets/{frozen}/download").status_code == 500
