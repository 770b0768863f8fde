"""The tus protocol, 1.0.0 with creation, termination and expiration: uploads that go on where they stopped.

https://tus.io/protocols/resumable-upload. A file's `Upload-Metadata` names its `path` (or `relativePath`,
`filename`, `name`) and perhaps the `import` that it belongs to.
"""

import base64
import binascii

from apiflask import APIBlueprint
from flask import Response, abort, make_response, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.http import http_date

from catalog import collections, jobs, uploads
from catalog.errors import NotFound
from catalog.ingest import remove_blobs
from catalog.schema import Collection, Job, JobKind, Upload, UploadState
from dashboard.security import viewer
from dashboard.services import services
from dashboard.session import commit, current_session

VERSION = "1.0.0"
PART = "application/offset+octet-stream"
PATHS = ("path", "relativePath", "filename", "name")
WHAT_IS_SPOKEN = {
    "Tus-Version": VERSION,
    "Tus-Extension": "creation,termination,expiration",
    "Tus-Max-Size": str(uploads.LONGEST),
}

blueprint = APIBlueprint("tus", __name__, url_prefix="/api/v1", enable_openapi=False)


def let_parts_through() -> None:
    """Parts are read piece by piece, so no request with one is too large."""
    if request.mimetype == PART:
        request.max_content_length = uploads.LONGEST


@blueprint.before_request
def check_version() -> ResponseReturnValue | None:
    if request.method == "OPTIONS" or request.headers.get("Tus-Resumable") == VERSION:
        return None
    return f"Tus-Resumable must be {VERSION}", 412, WHAT_IS_SPOKEN


@blueprint.after_request
def tell_version(response: Response) -> Response:
    response.headers["Tus-Resumable"] = VERSION
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.route("/collections/<int:collection_id>/tus", methods=["OPTIONS"], provide_automatic_options=False)
def options(collection_id: int) -> ResponseReturnValue:
    return "", 204, WHAT_IS_SPOKEN


@blueprint.post("/collections/<int:collection_id>/tus")
def create(collection_id: int) -> ResponseReturnValue:
    collection = collections.get(current_session(), collection_id, viewer=viewer())
    told = _metadata(request.headers.get("Upload-Metadata", ""))
    path = next((told[name] for name in PATHS if told.get(name)), None)
    upload = uploads.begin(
        current_session(),
        _import(collection, told.get("import")),
        path=uploads.item_path(path),
        length=_number("Upload-Length"),
    )
    commit()
    if upload.state is UploadState.WAITING:
        services().importer.wake()
    address = url_for(".head", key=upload.key)
    return "", 201, {"Location": address, **_expiry(upload)}


@blueprint.route("/uploads/<key>", methods=["HEAD"])
def head(key: str) -> ResponseReturnValue:
    upload = uploads.get(current_session(), key, user=viewer())
    return "", 200, {"Upload-Length": str(upload.length), **_standing(upload)}


@blueprint.post("/uploads/<key>")
def override(key: str) -> ResponseReturnValue:
    """For clients that cannot send PATCH and DELETE."""
    meant = {"PATCH": append, "DELETE": give_up}.get(request.headers.get("X-HTTP-Method-Override", ""))
    if meant is None:
        abort(405)
    return meant(key)


@blueprint.patch("/uploads/<key>")
def append(key: str) -> ResponseReturnValue:
    if request.mimetype != PART:
        abort(415, f"the content type of a part is {PART}")
    offset, database = _number("Upload-Offset"), services().database
    with database.reading() as session:
        uploads.check_room(uploads.get(session, key, user=viewer()), offset, request.content_length or 0)
    uploads.receive(database, services().blobs, key, user=viewer(), offset=offset, stream=request.stream)
    with database.reading() as session:
        upload = uploads.get(session, key, user=viewer())
    if upload.state is UploadState.WAITING:
        services().importer.wake()
    return "", 204, _standing(upload)


@blueprint.delete("/uploads/<key>")
def give_up(key: str) -> ResponseReturnValue:
    session = current_session()
    keys = uploads.give_up(session, uploads.get(session, key, user=viewer(), lock=True))
    commit()
    remove_blobs(services().database, services().blobs, keys)
    return make_response("", 204)


def _import(collection: Collection, name: str | None) -> Job:
    """The import that the client names, or the one for clients that name none."""
    if name is None:
        return uploads.current_import(current_session(), collection, user=viewer())
    if not _is_number(name):
        abort(400, f"import is {name!r:.60}; it must be the number of an import")
    job = jobs.get(current_session(), int(name), viewer=viewer(), kind=JobKind.IMPORT)
    if (job.collection_id, job.user_id) != (collection.id, viewer().id):
        raise NotFound(f"you have no import {name} into this collection")
    return job


def _standing(upload: Upload) -> dict[str, str]:
    return {"Upload-Offset": str(upload.received), **_expiry(upload)}


def _expiry(upload: Upload) -> dict[str, str]:
    return {"Upload-Expires": http_date(upload.expires_at)}


def _metadata(header: str) -> dict[str, str]:
    """The header's keys and decoded values, as the creation extension has them."""
    pairs = (pair.split() for pair in header.split(",") if pair.strip())
    try:
        return {
            name: base64.b64decode("".join(value), validate=True).decode("utf-8") for name, *value in pairs
        }
    except (binascii.Error, UnicodeError):
        abort(400, "Upload-Metadata must be names with values in Base64 of UTF-8 text")


def _number(header: str) -> int:
    value = request.headers.get(header, "")
    if not _is_number(value):
        abort(400, f"{header} is {value!r:.60}; it must be a whole number")
    return int(value)


def _is_number(value: str) -> bool:
    return value.isascii() and value.isdecimal() and len(value) < 19
