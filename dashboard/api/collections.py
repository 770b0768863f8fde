"""The API of collections: made, listed, filled, exported, deleted."""

from typing import Any

from apiflask import APIBlueprint
from flask import Response

from catalog import collections, guidelines, item_lists
from catalog.collections import Summary
from catalog.filters import ItemFilter
from catalog.ingest import FileReport, remove_blobs
from dashboard.api.schemas import (
    NEXT_PAGE,
    CollectionIn,
    CollectionOut,
    ExportQuery,
    GuidelinesIn,
    ItemsOut,
    ItemsQuery,
    PageQuery,
    UploadIn,
    UploadOut,
)
from dashboard.downloads import export_response
from dashboard.paging import Answer, linked
from dashboard.security import require_admin, viewer
from dashboard.services import services
from dashboard.session import commit, current_session
from dashboard.uploads import import_uploads

blueprint = APIBlueprint("api_collections", __name__, url_prefix="/api/v1/collections", tag="Collections")


@blueprint.get("")
@blueprint.input(PageQuery, location="query")
@blueprint.output(CollectionOut(many=True))
@blueprint.doc(responses=NEXT_PAGE)
def listing(query_data: dict[str, Any]) -> Answer[Summary]:
    """List the collections that you may see, by name; the Link header leads to the next page."""
    return linked(collections.summaries(current_session(), viewer=viewer(), **query_data))


@blueprint.post("")
@blueprint.input(CollectionIn)
@blueprint.output(CollectionOut, status_code=201)
def create(json_data: dict[str, Any]) -> Summary:
    """Create a collection."""
    collection = collections.create(current_session(), owner=viewer(), **json_data)
    commit()
    return Summary(collection, {})


@blueprint.get("/<int:collection_id>")
@blueprint.output(CollectionOut)
def show(collection_id: int) -> Summary:
    """Show a collection with its number of items by review state."""
    session = current_session()
    return collections.summary(session, collections.get(session, collection_id, viewer=viewer()))


@blueprint.patch("/<int:collection_id>")
@blueprint.input(GuidelinesIn)
@blueprint.output(CollectionOut)
def change(collection_id: int, json_data: dict[str, str]) -> Summary:
    """Change a collection's guidelines, its words to avoid, or both. For its members."""
    session = current_session()
    collection = collections.get(session, collection_id, viewer=viewer())
    guidelines.write(session, collection, **json_data)
    commit()
    return collections.summary(session, collection)


@blueprint.delete("/<int:collection_id>")
@blueprint.output({}, status_code=204)
def delete(collection_id: int) -> str:
    """Delete a collection with its items, captions, jobs and uploads. For admins.

    Stored files that nothing else uses go, too; files that were left where they are stay.
    """
    require_admin()
    session = current_session()
    collection = collections.get(session, collection_id, viewer=viewer())
    keys = collections.remove(session, collection, user=viewer())
    commit()
    remove_blobs(services().database, services().blobs, keys)
    return ""


@blueprint.get("/<int:collection_id>/items")
@blueprint.input(ItemsQuery, location="query")
@blueprint.output(ItemsOut)
def list_items(collection_id: int, query_data: dict[str, Any]) -> dict[str, Any]:
    """List items in order, each with the caption that stands for it; `after` continues.

    Captions of photos that you still have to caption blind for a golden set are null.
    """
    session, filter = current_session(), ItemFilter.read(query_data)
    collection = collections.get(session, collection_id, viewer=viewer())
    place = {name: query_data[name] for name in ("order", "after", "limit")}
    page = item_lists.page(session, collection, filter, viewer=viewer(), **place)
    hits = item_lists.hits(session, collection, filter)
    return {"items": page.items, "after": page.after, "hits": hits}


@blueprint.post("/<int:collection_id>/uploads")
@blueprint.input(UploadIn, location="files")
@blueprint.output(UploadOut)
def upload(collection_id: int, files_data: dict[str, Any]) -> dict[str, list[FileReport]]:
    """Import pictures; the answer says of each file what became of it."""
    with services().database.reading() as session:
        collections.get(session, collection_id, viewer=viewer())
    return {"files": import_uploads(services(), collection_id, files_data["files"], viewer())}


@blueprint.get("/<int:collection_id>/export")
@blueprint.input(ExportQuery, location="query")
@blueprint.doc(responses={200: "The file."})
def export(collection_id: int, query_data: dict[str, str]) -> Response:
    """Download all captions of a collection."""
    session = current_session()
    collection = collections.get(session, collection_id, viewer=viewer())
    return export_response(session, collection, query_data["format"])
