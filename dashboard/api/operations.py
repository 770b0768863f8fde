"""The API of bulk operations: previewed, started, watched, undone."""

from typing import Any

from apiflask import APIBlueprint

from catalog import collections, operations, previews
from catalog.filters import ItemFilter
from catalog.operations import Line
from catalog.previews import Preview
from dashboard.api.operation_schemas import OperationIn, OperationOut, PreviewIn, PreviewOut
from dashboard.api.schemas import NEXT_PAGE, PageQuery
from dashboard.etags import with_etag
from dashboard.operation_changes import started, undone
from dashboard.paging import Answer, linked
from dashboard.security import viewer
from dashboard.services import services
from dashboard.session import current_session

blueprint = APIBlueprint("api_operations", __name__, url_prefix="/api/v1", tag="Bulk operations")


@blueprint.post("/collections/<int:collection_id>/operations/preview")
@blueprint.input(PreviewIn)
@blueprint.output(PreviewOut)
def preview(collection_id: int, json_data: dict[str, Any]) -> Preview:
    """Show what an operation would do: how many captions there are and would change, with examples.

    It looks for some seconds at most; where that is too short, `exact` is false.
    """
    # It only reads, and must not keep others from writing for so long.
    with services().database.reading() as session:
        collection = collections.get(session, collection_id, viewer=viewer())
        filter = ItemFilter.read(json_data.pop("filter"))
        return previews.preview(session, collection, filter=filter, viewer=viewer(), **json_data)


@blueprint.post("/collections/<int:collection_id>/operations")
@blueprint.input(OperationIn)
@blueprint.output(OperationOut, status_code=202)
def start(collection_id: int, json_data: dict[str, Any]) -> Line:
    """Start an operation on all items of a filter; whatever their number, it is undone as one.

    Accepting takes a finished spot check of the same filter, unless the filter lists `ids`.
    """
    filter = ItemFilter.read(json_data.pop("filter"))
    return started(collection_id, filter=filter, **json_data)


@blueprint.get("/collections/<int:collection_id>/operations")
@with_etag
@blueprint.input(PageQuery, location="query")
@blueprint.output(OperationOut(many=True))
@blueprint.doc(responses=NEXT_PAGE)
def listing(collection_id: int, query_data: dict[str, Any]) -> Answer[Line]:
    """List a collection's operations, newest first, with an ETag for polling."""
    session = current_session()
    collection = collections.get(session, collection_id, viewer=viewer())
    return linked(operations.recent(session, collection, **query_data))


@blueprint.get("/operations/<int:operation_id>")
@with_etag
@blueprint.output(OperationOut)
def show(operation_id: int) -> Line:
    """Show how an operation stands, with an ETag for polling."""
    return operations.get(current_session(), operation_id, viewer=viewer())


@blueprint.post("/operations/<int:operation_id>/undo")
@blueprint.output(OperationOut, status_code=202)
def undo(operation_id: int) -> Line:
    """Take an operation back, whenever that was; captions that were changed since stay and count as skipped.

    For the one who did it, and for admins; once.
    """
    return undone(operation_id)
