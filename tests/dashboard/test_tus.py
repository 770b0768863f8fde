"""The tus protocol, spoken by hand: creation, parts, offsets, termination, and what is refused."""

import base64
import io
from typing import Any

import pytest
from apiflask import APIFlask
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from catalog.database import Database
from catalog.schema import Image, ImportedFile, Job, UploadPart
from dashboard.services import Services
from pictures.sandbox import DecodingProcess
from tests.dashboard.conftest import jpeg
from tests.dashboard.visitor import Visitor

TUS = {"Tus-Resumable": "1.0.0"}
PART = "application/offset+octet-stream"


def tus(client: Visitor, method: str, url: str, *, headers: dict[str, Any], **options: Any) -> TestResponse:
    sent = {**TUS, "X-CSRFToken": client.token(), **{name: str(value) for name, value in headers.items()}}
    return client.open(url, method=method, headers=sent, **options)


def begin(client: Visitor, collection: int, length: int, **told: str) -> TestResponse:
    metadata = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in told.items())
    headers = {"Upload-Length": length, "Upload-Metadata": metadata}
    return tus(client, "POST", f"/api/v1/collections/{collection}/tus", headers=headers)


def send(client: Visitor, url: str, offset: int, content: bytes, **headers: str) -> TestResponse:
    told = {"Upload-Offset": offset, "Content-Type": PART, **headers}
    return tus(client, "PATCH", url, headers=told, data=content)


def import_all(app: APIFlask) -> None:
    services: Services = app.extensions["recaption"]
    with DecodingProcess() as decoder:
        services.importer.import_all(decoder)


def test_options_tell_what_is_spoken(admin: Visitor, collection: int) -> None:
    answer = admin.options(f"/api/v1/collections/{collection}/tus")
    assert answer.status_code == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert answer.headers["Tus-Extension"] == "creation,termination,expiration"
    assert int(answer.headers["Tus-Max-Size"]) > 1 << 30


def test_a_file_in_two_parts_becomes_an_item(
    app: APIFlask, admin: Visitor, collection: int, database: Database
) -> None:
    content = jpeg()
    created = begin(admin, collection, len(content), filename="trip/pier.jpg")
    assert created.status_code == 201
    url = created.headers["Location"]
    first = send(admin, url, 0, content[:300])
    assert (first.status_code, first.headers["Upload-Offset"]) == (204, "300")
    standing = tus(admin, "HEAD", url, headers={})
    assert standing.headers["Upload-Offset"] == "300"
    assert standing.headers["Upload-Length"] == str(len(content))
    assert standing.headers["Cache-Control"] == "no-store"
    assert "Upload-Expires" in standing.headers
    assert send(admin, url, 300, content[300:]).headers["Upload-Offset"] == str(len(content))
    import_all(app)
    items = admin.get(f"/api/v1/collections/{collection}/items").get_json()["items"]
    assert [one["item"]["path"] for one in items] == ["trip/pier.jpg"]
    with database.reading() as session:
        assert session.scalars(select(Image.bytes)).all() == [len(content)]


def test_another_version_of_the_protocol_is_refused(admin: Visitor, collection: int) -> None:
    answer = tus(admin, "POST", f"/api/v1/collections/{collection}/tus", headers={"Tus-Resumable": "0.2.2"})
    assert (answer.status_code, answer.headers["Tus-Version"]) == (412, "1.0.0")


@pytest.mark.parametrize(
    ("offset", "content", "headers", "status"),
    [
        (5, b"more", {}, 409),
        (0, b"more than ten bytes", {}, 413),
        (0, b"more", {"Content-Type": "image/jpeg"}, 415),
        ("later", b"more", {}, 400),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    admin: Visitor,
    collection: int,
    database: Database,
    offset: int,
    content: bytes,
    headers: dict[str, str],
    status: int,
) -> None:
    url = begin(admin, collection, 10, filename="pier.jpg").headers["Location"]
    answer = send(admin, url, offset, content, **headers)
    assert (answer.status_code, answer.headers["Tus-Resumable"]) == (status, "1.0.0")
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(UploadPart)) == 0
    assert send(admin, url, 0, b"ten bytes.").status_code == 204


def test_a_stream_without_a_length_may_not_overrun(
    admin: Visitor, collection: int, database: Database
) -> None:
    url = begin(admin, collection, 10, filename="pier.jpg").headers["Location"]
    headers = {"Upload-Offset": 0, "Content-Type": PART, "Transfer-Encoding": "chunked"}
    body: Any = io.BytesIO(bytes(11))
    answer = tus(
        admin, "PATCH", url, headers=headers, input_stream=body, environ_base={"wsgi.input_terminated": True}
    )
    assert answer.status_code == 413
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(UploadPart)) == 0


def test_a_part_may_be_larger_than_other_requests(admin: Visitor, collection: int, app: APIFlask) -> None:
    app.config["MAX_CONTENT_LENGTH"] = 1000
    url = begin(admin, collection, 5000, filename="pier.jpg").headers["Location"]
    assert send(admin, url, 0, bytes(5000)).headers["Upload-Offset"] == "5000"


def test_a_client_may_give_up(admin: Visitor, collection: int, database: Database) -> None:
    url = begin(admin, collection, 10, filename="pier.jpg").headers["Location"]
    send(admin, url, 0, b"five.")
    assert tus(admin, "DELETE", url, headers={}).status_code == 204
    assert tus(admin, "HEAD", url, headers={}).status_code == 404
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(UploadPart)) == 0


def test_methods_can_be_told_in_a_header(admin: Visitor, collection: int) -> None:
    url = begin(admin, collection, 10, filename="pier.jpg").headers["Location"]
    headers = {"X-HTTP-Method-Override": "PATCH", "Upload-Offset": 0, "Content-Type": PART}
    assert tus(admin, "POST", url, headers=headers, data=b"five.").headers["Upload-Offset"] == "5"
    assert tus(admin, "POST", url, headers={"X-HTTP-Method-Override": "DELETE"}).status_code == 204
    assert tus(admin, "POST", url, headers={"X-HTTP-Method-Override": "MOVE"}).status_code == 405


@pytest.mark.parametrize(
    "headers",
    [{"Upload-Length": "-1"}, {}, {"Upload-Length": "1", "Upload-Metadata": "filename %%%"}],
)
def test_a_creation_that_makes_no_sense_is_refused(
    admin: Visitor, collection: int, headers: dict[str, str]
) -> None:
    answer = tus(admin, "POST", f"/api/v1/collections/{collection}/tus", headers=headers)
    assert answer.status_code == 400


def test_a_file_that_is_too_long_is_refused(admin: Visitor, collection: int) -> None:
    assert begin(admin, collection, 1 << 50, filename="pier.jpg").status_code == 413


def test_others_do_not_find_an_upload(
    admin: Visitor, reviewer: Visitor, collection: int, app: APIFlask
) -> None:
    url = begin(admin, collection, 10, filename="pier.jpg").headers["Location"]
    assert begin(reviewer, collection, 10, filename="pier.jpg").status_code == 404
    assert tus(reviewer, "HEAD", url, headers={}).status_code == 404
    assert send(reviewer, url, 0, b"five.").status_code == 404
    assert tus(reviewer, "DELETE", url, headers={}).status_code == 404


def test_without_the_token_of_the_page_nothing_is_taken(admin: Visitor, collection: int) -> None:
    headers = {**TUS, "Upload-Length": "10"}
    assert admin.post(f"/api/v1/collections/{collection}/tus", headers=headers).status_code == 400


def test_an_import_of_somebody_else_cannot_be_joined(
    admin: Visitor, reviewer: Visitor, collection: int
) -> None:
    admin.submit(f"/collections/{collection}/members", {"name": "bob"})
    started = admin.call("POST", f"/collections/{collection}/imports", json={"files": 1}).get_json()
    answer = begin(reviewer, collection, 10, **{"filename": "a.jpg", "import": str(started["id"])})
    assert answer.status_code == 404
    answer = begin(admin, collection, 10, **{"filename": "a.jpg", "import": "first"})
    assert answer.status_code == 400


def test_an_import_tells_what_became_of_its_files(
    app: APIFlask, admin: Visitor, collection: int, database: Database
) -> None:
    job = admin.call("POST", f"/collections/{collection}/imports", json={"files": 3}).get_json()["id"]
    names = {"=pier.jpg": jpeg(1), "quay.jpg": jpeg(2), "words.jpg": b"no picture"}
    for name, content in names.items():
        created = begin(admin, collection, len(content), **{"path": name, "import": str(job)})
        send(admin, created.headers["Location"], 0, content)
    uploads = admin.get(f"/api/v1/imports/{job}/uploads?limit=2").get_json()
    assert [one["received"] for one in uploads["uploads"]] == [len(jpeg(1)), len(jpeg(2))]
    rest = admin.get(f"/api/v1/imports/{job}/uploads?after={uploads['after']}").get_json()
    assert [one["path"] for one in rest["uploads"]] == ["words.jpg"]
    assert rest["after"] is None
    import_all(app)
    assert admin.call("POST", f"/imports/{job}/close").get_json()["state"] == "done"
    failed = admin.get(f"/api/v1/imports/{job}/files?failed=true").get_json()["files"]
    assert [(file["path"], file["status"]) for file in failed] == [("words.jpg", "not an image")]
    table = admin.get(f"/api/v1/imports/{job}/report.csv").text.splitlines()
    assert table[0] == "path,status,detail,item"
    assert table[1].startswith("'=pier.jpg,imported,")
    assert len(table) == 4
    page = admin.get(f"/imports/{job}").text
    assert "words.jpg" in page
    assert "quay.jpg" not in page
    assert "quay.jpg" in admin.get(f"/imports/{job}?files=all").text
    assert admin.get(f"/jobs/{job}").location == f"/imports/{job}"
    assert admin.submit(f"/imports/{job}/retry", {}).status_code == 303
    import_all(app)
    with database.reading() as session:
        assert session.get_one(Job, job).failed == 1
        assert session.scalar(select(func.count()).select_from(ImportedFile)) == 3


def test_others_do_not_find_an_import(admin: Visitor, reviewer: Visitor, collection: int) -> None:
    job = admin.call("POST", f"/collections/{collection}/imports", json={}).get_json()["id"]
    for path in (f"/api/v1/imports/{job}/files", f"/api/v1/imports/{job}/report.csv", f"/imports/{job}"):
        assert admin.get(path).status_code == 200
        assert reviewer.get(path).status_code == 404
    assert reviewer.call("POST", f"/imports/{job}/close").status_code == 404


def test_an_import_is_closed_and_tried_again_by_whoever_began_it(
    admin: Visitor, reviewer: Visitor, new_user: Any, app: APIFlask, collection: int
) -> None:
    admin.submit(f"/collections/{collection}/members", {"name": "bob"})
    of_ada = admin.call("POST", f"/collections/{collection}/imports", json={}).get_json()["id"]
    of_bob = reviewer.call("POST", f"/collections/{collection}/imports", json={}).get_json()["id"]
    assert reviewer.get(f"/imports/{of_ada}").status_code == 200
    for path in (f"/imports/{of_ada}/close", f"/imports/{of_ada}/retry"):
        assert reviewer.call("POST", path).status_code == 403
    assert reviewer.submit(f"/imports/{of_ada}/retry", {}).status_code == 403
    assert admin.call("POST", f"/imports/{of_bob}/close").get_json()["state"] == "done"


def test_numbers_without_end_are_refused(admin: Visitor, collection: int) -> None:
    url = f"/api/v1/collections/{collection}/tus"
    assert tus(admin, "POST", url, headers={"Upload-Length": "9" * 5000}).status_code == 400


def test_a_caption_job_is_no_import(admin: Visitor, item: int, captioned: Any) -> None:
    job = captioned()
    assert admin.get(f"/imports/{job}").status_code == 404
    assert admin.get(f"/api/v1/imports/{job}/files").status_code == 404
