"""The API of datasets."""

import io
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from apiflask import APIFlask
from sqlalchemy import select, update

from catalog import tokens
from catalog.database import Database
from catalog.schema import Caption, Dataset, Job, JobKind, Origin, Role, Scope, TrainingRun, User
from tests.dashboard.visitor import Visitor

Accepted = Callable[..., list[int]]


@pytest.fixture
def pier(collection: int) -> dict[str, Any]:
    return {"collection_id": collection, "name": "harbour"}


def test_a_filter_is_frozen_as_the_next_version_of_a_name(
    admin: Visitor, database: Database, accepted: Accepted, pier: dict[str, Any]
) -> None:
    accepted(3, Origin.EDITED)
    made = admin.call("POST", "/datasets", json=pier | {"filter": {"path": "0001"}})
    assert made.status_code == 201
    first = made.json["dataset"]
    assert (made.json["is_new"], first["name"], first["version"], first["kind"]) == (
        True,
        "harbour",
        1,
        "curated",
    )
    assert (first["images"], first["captions"], first["filter"]) == (1, 1, {"path": "0001"})
    assert len(first["manifest_sha256"]) == 64
    assert [*first["card"]["origins"].values()] == [{"edited": 1}]
    again = admin.call("POST", "/datasets", json=pier | {"filter": {"path": "0001"}}).json
    assert (again["is_new"], again["dataset"]["id"]) == (False, first["id"])
    whole = admin.call("POST", "/datasets", json=pier).json["dataset"]
    assert (whole["version"], whole["images"]) == (2, 3)
    listed = admin.call("GET", "/datasets?limit=1")
    assert [one["id"] for one in listed.json] == [whole["id"]]
    assert 'rel="next"' in listed.headers["Link"]
    assert admin.call("GET", f"/datasets?after={whole['id']}").json == [first]
    assert admin.call("GET", "/datasets?kind=golden").json == []
    assert admin.call("GET", f"/datasets/{first['id']}").json == first


def test_what_cannot_be_frozen_is_refused(admin: Visitor, accepted: Accepted, pier: dict[str, Any]) -> None:
    nothing = admin.call("POST", "/datasets", json=pier)
    assert nothing.status_code == 422
    assert "accept some first" in nothing.json["detail"]
    accepted(1)
    for wrong in ({"name": ""}, {"name": "har@bour"}, {"filter": {"since": "soon"}}, {"colour": "red"}):
        assert admin.call("POST", "/datasets", json=pier | wrong).status_code == 422, wrong
    assert admin.call("POST", "/datasets", json=pier | {"collection_id": 99}).status_code == 404


def test_items_are_listed_as_they_were_frozen(admin: Visitor, database: Database, frozen: int) -> None:
    with database.writing() as session:
        session.execute(update(Caption).values(text="Changed since."))
    answer = admin.call("GET", f"/datasets/{frozen}/items?limit=2")
    assert [one["path"] for one in answer.json] == ["0000.png", "0001.png"]
    assert answer.json[0]["captions"][0] == {
        "blind": False,
        "id": 1,
        "kind": "caption",
        "language": "en",
        "model": None,
        "origin": "written",
        "text": "A boat at pier 1.",
        "version": 1,
    }
    assert "after=2" in answer.headers["Link"]
    last = admin.call("GET", f"/datasets/{frozen}/items?after=2")
    assert [one["path"] for one in last.json] == ["0002.png"]
    assert "Link" not in last.headers
    assert admin.call("GET", f"/datasets/{frozen}/items?after=-1").status_code == 422


def test_a_dataset_is_downloaded_as_a_zip(admin: Visitor, frozen: int) -> None:
    answer = admin.call("GET", f"/datasets/{frozen}/download?format=coco")
    assert answer.mimetype == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        assert archive.testzip() is None
        assert len([name for name in archive.namelist() if name.endswith(".jpg")]) == 3
    bare = admin.call("GET", f"/datasets/{frozen}/download?format=coco&images=false")
    assert len(bare.data) < len(answer.data)
    original = admin.call("GET", f"/datasets/{frozen}/download?format=coco&originals=true")
    with zipfile.ZipFile(io.BytesIO(original.data)) as archive:
        assert b"original" in b"".join(map(archive.read, archive.namelist()))
    assert admin.call("GET", f"/datasets/{frozen}/download?format=docx").status_code == 422


def test_a_dataset_is_deleted_unless_something_was_trained_on_it(
    admin: Visitor, database: Database, collection: int, frozen: int
) -> None:
    with database.writing() as session:
        session.add(job := Job(kind=JobKind.TRAIN, collection_id=collection))
        session.flush()
        session.add(TrainingRun(job_id=job.id, dataset_id=frozen, line="harbour"))
    assert admin.call("DELETE", f"/datasets/{frozen}").status_code == 409
    with database.writing() as session:
        session.execute(update(TrainingRun).values(dataset_id=None))
    assert admin.call("DELETE", f"/datasets/{frozen}").status_code == 204
    assert admin.call("GET", f"/datasets/{frozen}").status_code == 404


def test_a_dataset_of_others_is_hidden(reviewer: Visitor, frozen: int, pier: dict[str, Any]) -> None:
    assert reviewer.call("GET", "/datasets").json == []
    for part in ("", "/items", f"/differences?against={frozen}", "/download"):
        assert reviewer.call("GET", f"/datasets/{frozen}{part}").status_code == 404, part
    assert reviewer.call("DELETE", f"/datasets/{frozen}").status_code == 404
    assert reviewer.call("POST", "/datasets", json=pier).status_code == 404


def test_a_token_that_may_read_freezes_and_deletes_nothing(
    app: APIFlask, database: Database, new_user: Callable[..., User], frozen: int, pier: dict[str, Any]
) -> None:
    ada = new_user("grace", Role.ADMIN)
    with database.writing() as session:
        secret = tokens.create(session, ada, name="cron", scope=Scope.READ, days=30)[1]
    script, headers = app.test_client(use_cookies=False), {"Authorization": f"Bearer {secret}"}
    address = f"/api/v1/datasets/{frozen}"
    assert script.get(address, headers=headers).status_code == 200
    assert script.delete(address, headers=headers).status_code == 403
    assert script.post("/api/v1/datasets", json=pier, headers=headers).status_code == 403
    with database.reading() as session:
        assert session.scalars(select(Dataset.id)).all() == [frozen]


def test_two_versions_are_compared(
    admin: Visitor, database: Database, accepted: Accepted, pier: dict[str, Any]
) -> None:
    ids = accepted(3)
    first = admin.call("POST", "/datasets", json=pier | {"filter": {"ids": f"{ids[0]},{ids[1]}"}}).json[
        "dataset"
    ]
    with database.writing() as session:
        session.execute(update(Caption).where(Caption.item_id == ids[0]).values(text="A ship.", version=2))
    wanted = pier | {"filter": {"ids": f"{ids[0]},{ids[2]}"}}
    second = admin.call("POST", "/datasets", json=wanted).json["dataset"]
    told = admin.call("GET", f"/datasets/{second['id']}/differences?against={first['id']}").json
    assert [told[part]["count"] for part in ("added", "removed", "changed")] == [1, 1, 1]
    assert told["added"]["items"][0]["item_id"] == ids[2]
    assert told["removed"]["items"][0]["item_id"] == ids[1]
    change = told["changed"]["changes"][0]
    assert [one["text"] for one in change["before"] + change["after"]] == ["A boat at pier 1.", "A ship."]
    assert admin.call("GET", f"/datasets/{second['id']}/differences").status_code == 422
    assert admin.call("GET", f"/datasets/{second['id']}/differences?against=99").status_code == 404
