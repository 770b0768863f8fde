"""The API of progress: how the reviewers of a collection get on, and what is left."""

from typing import Any

from apiflask import APIBlueprint

from catalog import collections, progress
from catalog.progress import Mine, Progress
from catalog.schema import Collection
from dashboard.api.queue_schemas import MyProgressOut, ReviewProgressOut, ReviewProgressQuery
from dashboard.etags import with_etag
from dashboard.security import viewer
from dashboard.session import current_session

blueprint = APIBlueprint(
    "api_progress", __name__, url_prefix="/api/v1/collections/<int:collection_id>/progress", tag="Review"
)


def asked_for(collection_id: int) -> Collection:
    return collections.get(current_session(), collection_id, viewer=viewer())


@blueprint.get("")
@blueprint.input(ReviewProgressQuery, location="query")
@blueprint.output(ReviewProgressOut)
def show(collection_id: int, query_data: dict[str, Any]) -> Progress:
    """Tell what was decided, how fast, and what is left; of each reviewer for admins, else of yourself."""
    collection = asked_for(collection_id)
    return progress.of_collection(current_session(), collection, viewer=viewer(), **query_data)


@blueprint.get("/mine")
@with_etag
@blueprint.output(MyProgressOut)
def mine(collection_id: int) -> Mine:
    """Tell what you decided today and how fast you are; with an ETag for polling."""
    return progress.of_reviewer(current_session(), asked_for(collection_id), viewer())
