"""Items: the review page, pictures and originals, flags, the end of one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from apiflask import APIFlask
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from catalog import collections
from catalog.blobs import open_blobs
from catalog.blobs.s3 import S3Blobs
from catalog.database import Database
from catalog.object_storage import Bucket, S3Account, S3Place
from catalog.schema import Collection, Item, User
from catalog.settings import Settings
from tests.dashboard.conftest import MODEL_TEXT, jpeg
from tests.dashboard.visitor import Visitor


def test_model_text_is_labelled_and_stands_beside_its_alternatives(
    admin: Visitor, item: int, caption: int
) -> None:
    page = admin.get(f"/items/{item}").text
    assert MODEL_TEXT in page
    assert '<span class="badge origin-ai"' in page
    assert "A dog plays outside." in page
    assert "job 1</strong> captioned it" in page


def test_a_corrected_caption_is_labelled_and_keeps_what_the_model_wrote(
    admin: Visitor, item: int, caption: int
) -> None:
    admin.call("PATCH", f"/captions/{caption}", json={"version": 1, "text": "A wet dog runs."})
    page = admin.get(f"/items/{item}").text
    assert "Person · edited" in page
    assert "The model wrote: <q>A <del>brown</del><ins>wet</ins> dog runs" in page
    assert f'data-alternative="{MODEL_TEXT}"' in page
    assert "ada</strong> edited it" in page
    assert f"<del>{MODEL_TEXT}</del>" in page


def test_captions_are_text_and_never_markup(admin: Visitor, item: int) -> None:
    text = '"><script>alert(1)</script>'
    admin.call("POST", f"/items/{item}/captions", json={"text": text})
    assert "<script>alert" not in admin.get(f"/items/{item}").text
    assert admin.call("GET", f"/items/{item}/captions").json[0]["caption"]["text"] == text


def test_a_photo_without_a_caption_offers_to_write_one(admin: Visitor, item: int) -> None:
    assert "This photo has no caption yet" in admin.get(f"/items/{item}").text


def test_stepping_keeps_to_the_filter(
    admin: Visitor, new_items: Callable[[int], list[int]], captioned: Callable[[], int], collection: int
) -> None:
    ids = new_items(4)
    captioned()
    first = admin.get(f"/collections/{collection}/review?state=pending")
    assert first.location == f"/items/{ids[0]}?state=pending"
    captions = admin.call("GET", f"/items/{ids[1]}/captions").json
    address = f"/captions/{captions[0]['caption']['id']}"
    assert admin.call("PATCH", address, json={"version": 1, "state": "accepted"}).status_code == 200
    assert f'rel="next" href="/items/{ids[2]}?state=pending"' in admin.get(first.location).text
    assert f'rel="next" href="/items/{ids[1]}"' in admin.get(f"/items/{ids[0]}").text


def test_the_last_photo_leads_back_to_its_collection(admin: Visitor, item: int, collection: int) -> None:
    assert f'rel="next" href="/collections/{collection}"' in admin.get(f"/items/{item}").text


def test_an_empty_queue_leads_back_to_the_collection(admin: Visitor, item: int, collection: int) -> None:
    answer = admin.get(f"/collections/{collection}/review?state=pending")
    assert answer.location == f"/collections/{collection}?state=pending"


def test_pictures_are_our_own_jpegs_kept_by_the_browser_alone(admin: Visitor, item: int) -> None:
    answer = admin.get(f"/items/{item}/picture")
    assert answer.data == jpeg(0)
    assert answer.mimetype == "image/jpeg"
    assert answer.headers["Cache-Control"].startswith("private")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    again = admin.get(f"/items/{item}/picture", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    assert again.data == b""


def test_originals_are_downloads_in_a_sandbox(admin: Visitor, item: int) -> None:
    answer = admin.get(f"/items/{item}/original")
    assert answer.data.startswith(b"original")
    assert answer.headers["Content-Disposition"] == "attachment; filename=0000.png"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer.mimetype == "application/octet-stream"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_picture_that_is_gone_from_the_store_says_so(admin: Visitor, settings: Settings, item: int) -> None:
    blobs = open_blobs(settings)
    for key in list(blobs.keys()):
        blobs.delete(key)
    answer = admin.get(f"/items/{item}/picture")
    assert answer.status_code == 500
    assert "restore it from a backup" in answer.text


@pytest.fixture
def referenced(database: Database, settings: Settings, item: int, collection: int, tmp_path: Path) -> Path:
    """The file in which the original of `item` was left; bob may see it."""
    file = tmp_path / "scans" / "boats.png"
    file.parent.mkdir()
    with database.writing() as session:
        held = session.get_one(Item, item, options=[joinedload(Item.image)])
        held.reference, held.image.stored = str(file), False
        key = held.image.sha256
        if bob := session.scalar(select(User).where(User.name == "bob")):
            collections.add_member(session, session.get_one(Collection, collection), bob)
    blobs = open_blobs(settings)
    file.write_bytes(blobs.read(key))
    blobs.delete(key)
    return file


def test_an_original_that_was_left_where_it_is_is_read_from_there(
    admin: Visitor, reviewer: Visitor, item: int, referenced: Path
) -> None:
    for visitor in (admin, reviewer):
        answer = visitor.get(f"/items/{item}/original")
        assert answer.data == referenced.read_bytes()
        assert answer.content_length == referenced.stat().st_size
        assert answer.headers["Content-Disposition"] == "attachment; filename=0000.png"
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        again = visitor.get(f"/items/{item}/original", headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")
    assert f"original left at {referenced}" in admin.get(f"/items/{item}").text
    assert "stays where it was left" in admin.get(f"/items/{item}").text
    assert str(referenced) not in reviewer.get(f"/items/{item}").text


def test_an_original_that_has_changed_where_it_was_left_is_not_handed_out(
    admin: Visitor, reviewer: Visitor, item: int, referenced: Path
) -> None:
    referenced.write_bytes(b"x" * referenced.stat().st_size)
    for_admin, for_reviewer = (one.get(f"/items/{item}/original") for one in (admin, reviewer))
    assert (for_admin.status_code, for_reviewer.status_code) == (500, 500)
    assert f"was left at {referenced}, and it has changed" in for_admin.text
    assert "tell an admin" in for_reviewer.text
    assert str(referenced) not in for_reviewer.text


def test_a_picture_that_the_browser_has_is_not_read_again(
    app: APIFlask, admin: Visitor, settings: Settings, item: int
) -> None:
    etag = admin.get(f"/items/{item}/picture").headers["ETag"]
    blobs = open_blobs(settings)
    for key in list(blobs.keys()):
        blobs.delete(key)
    assert admin.get(f"/items/{item}/picture", headers={"If-None-Match": etag}).status_code == 304


def test_pictures_and_originals_come_out_of_a_bucket(
    app: APIFlask, admin: Visitor, settings: Settings, place: S3Place, account: S3Account, item: int
) -> None:
    here, bucket = open_blobs(settings), S3Blobs(Bucket(place, account), staging=settings.cache / "blobs")
    contents = [here.read(key) for key in list(here.keys())]
    for content in contents:
        bucket.put(content)
    app.extensions["recaption"] = replace(app.extensions["recaption"], blobs=bucket)
    assert admin.get(f"/items/{item}/picture").data in contents
    answer = admin.get(f"/items/{item}/original")
    assert answer.data in contents
    assert answer.content_length == len(answer.data)
    part = admin.get(f"/items/{item}/original", headers={"Range": "bytes=2-4"})
    assert (part.status_code, part.data) == (206, answer.data[2:5])
    assert list((settings.cache / "blobs").iterdir()) == []


def test_a_bucket_that_does_not_answer_is_503(
    app: APIFlask, admin: Visitor, settings: Settings, place: S3Place, free_port: int, item: int
) -> None:
    away = S3Account(f"http://127.0.0.1:{free_port}", "us-east-1", "KEYID", "SECRET")
    blobs = S3Blobs(Bucket(place, away), staging=settings.cache / "blobs")
    app.extensions["recaption"] = replace(app.extensions["recaption"], blobs=blobs)
    answer = admin.get(f"/items/{item}/picture")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert admin.get(f"/items/{item}").status_code == 200


def test_flags_are_set_and_taken_off(admin: Visitor, item: int, collection: int) -> None:
    assert admin.call("PUT", f"/items/{item}/flag", json={"flagged": True}).json["flagged"] is True
    assert "flagged" in admin.get(f"/collections/{collection}").text
    assert admin.call("PUT", f"/items/{item}/flag", json={"flagged": False}).json["flagged"] is False


def test_deleting_an_item_takes_its_blobs_along(admin: Visitor, settings: Settings, item: int) -> None:
    assert admin.call("DELETE", f"/items/{item}").status_code == 204
    assert admin.get(f"/items/{item}").status_code == 404
    assert list(open_blobs(settings).keys()) == []


def test_the_api_lists_items_with_their_captions_page_by_page(
    admin: Visitor, collection: int, new_items: Callable[[int], list[int]], captioned: Callable[[], int]
) -> None:
    ids = new_items(3)
    captioned()
    first = admin.call("GET", f"/collections/{collection}/items?limit=2").json
    assert [listed["item"]["id"] for listed in first["items"]] == ids[:2]
    assert first["items"][0]["caption"]["text"] == MODEL_TEXT
    assert first["items"][0]["item"]["width"] == 96
    rest = admin.call("GET", f"/collections/{collection}/items?after={first['after']}").json
    assert [listed["item"]["id"] for listed in rest["items"]] == ids[2:]
    assert rest["after"] is None


def test_a_state_that_is_none_is_refused_by_the_api(admin: Visitor, collection: int) -> None:
    answer = admin.call("GET", f"/collections/{collection}/items?state=nonsense")
    assert answer.status_code == 422
    assert "state" in answer.json["errors"]["query"]


def test_a_photo_that_nobody_may_train_on_says_so_everywhere(
    admin: Visitor, new_items: Callable[[int], list[int]], collection: int, database: Database
) -> None:
    prohibited, free = new_items(2)
    with database.writing() as session:
        item = session.get_one(Item, prohibited)
        item.training_prohibited, item.rights = True, "(c) Museum <b>"
    page = admin.get(f"/items/{prohibited}").text
    assert "Not for training" in page
    assert "no dataset will hold it" in page
    assert "(c) Museum &lt;b&gt;" in page
    assert "Not for training" not in admin.get(f"/items/{free}").text
    assert admin.get(f"/collections/{collection}").text.count("Not for training") == 1
    assert admin.call("GET", f"/items/{prohibited}").json["training_prohibited"] is True
    assert admin.call("GET", f"/items/{free}").json["training_prohibited"] is False


def test_a_description_is_no_caption_and_stands_behind_one(admin: Visitor, item: int) -> None:
    body = {"text": "Die Mühle.", "language": "de", "kind": "description"}
    admin.call("POST", f"/items/{item}/captions", json=body)
    page = admin.get(f"/items/{item}").text
    assert "This photo has no caption yet" in page
    assert page.index("New caption") < page.index("Description (de)")
    admin.call("POST", f"/items/{item}/captions", json={"text": "A mill."})
    page = admin.get(f"/items/{item}").text
    assert "This photo has no caption yet" not in page
    assert page.index("A mill.</textarea>") < page.index("Die Mühle.</textarea>")
