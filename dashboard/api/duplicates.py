"""The API of near-duplicates: listed in groups, kept and skipped."""

from typing import Any

from apiflask import APIBlueprint

from catalog import near_duplicates
from catalog.ingest import remove_blobs
from catalog.near_duplicates import Page
from dashboard.api.schemas import DuplicatesOut, DuplicatesQuery, KeepIn, KeepOut, SkipIn
from dashboard.collections import asked_for
from dashboard.duplicates import item_of
from dashboard.security import viewer
from dashboard.services import services
from dashboard.session import commit, current_session

blueprint = APIBlueprint(
    "api_duplicates",
    __name__,
    url_prefix="/api/v1/collections/<int:collection_id>/duplicates",
    tag="Collections",
)


@blueprint.get("")
@blueprint.input(DuplicatesQuery, location="query")
@blueprint.output(DuplicatesOut)
def listing(collection_id: int, query_data: dict[str, Any]) -> Page:
    """List photos that look alike, in groups of which nobody has kept every photo; `after` continues."""
    return near_duplicates.page(current_session(), asked_for(collection_id), viewer=viewer(), **query_data)


@blueprint.post("/keep")
@blueprint.input(KeepIn)
@blueprint.output(KeepOut)
def keep(collection_id: int, json_data: dict[str, list[int]]) -> dict[str, int]:
    """Keep photos: once all of a group are kept, it is not listed until another photo like them comes."""
    kept = near_duplicates.keep(current_session(), asked_for(collection_id), **json_data)
    commit()
    return {"kept": kept}


@blueprint.post("/skip")
@blueprint.input(SkipIn)
@blueprint.output({}, status_code=204)
def skip(collection_id: int, json_data: dict[str, Any]) -> str:
    """Take a photo out of the collection, with its captions."""
    item = item_of(collection_id, json_data["item_id"])
    keys = near_duplicates.skip(current_session(), item, user=viewer(), confirmed=json_data["confirmed"])
    commit()
    remove_blobs(services().database, services().blobs, keys)
    return ""
