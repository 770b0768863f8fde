"""The API of the queue of reviewers: the next item, leases, whose work an item is."""

from typing import Any

from apiflask import APIBlueprint
from flask import Response, url_for

from catalog import assignment, collections, items, review_queue
from catalog.filters import ItemFilter
from catalog.schema import Item
from dashboard.api.queue_schemas import AssigneeIn, AssigneeOut, LeaseOut, QueuedOut, QueueIn, QueueQuery
from dashboard.security import viewer
from dashboard.session import commit, current_session
from dashboard.wanted import wanted_words

blueprint = APIBlueprint("api_queue", __name__, url_prefix="/api/v1", tag="Review")


def asked_for(item_id: int) -> Item:
    return items.get(current_session(), item_id, viewer=viewer())


@blueprint.post("/collections/<int:collection_id>/queue/next")
@blueprint.input(QueueQuery, location="query")
@blueprint.input(QueueIn)
@blueprint.output(QueuedOut)
@blueprint.doc(responses={204: "Nothing is left: the rest is decided, leased to others or assigned to them."})
def next_item(
    collection_id: int, query_data: dict[str, Any], json_data: dict[str, Any]
) -> Response | dict[str, Any]:
    """Lease the next item to you: the first behind `behind` that nobody else is at or has to do.

    At the end of the order it begins again from its start, once.
    """
    session, order = current_session(), query_data["order"]
    collection = collections.get(session, collection_id, viewer=viewer())
    wanted = ItemFilter.read(query_data)
    item = review_queue.next_item(session, collection, wanted, order=order, reviewer=viewer(), **json_data)
    commit()
    if item is None:
        return Response(status=204)
    words: dict[str, Any] = {**wanted_words()}
    return {"item_id": item.id, "url": url_for("items.review", item_id=item.id, **words)}


@blueprint.put("/items/<int:item_id>/lease")
@blueprint.output(LeaseOut)
def hold(item_id: int) -> dict[str, Any]:
    """Lease an item that you opened, or renew the lease; the answer says who else is at it."""
    other = review_queue.hold(current_session(), asked_for(item_id), viewer())
    commit()
    return {"holder": other.name if other else None, "seconds": int(review_queue.LEASE)}


@blueprint.delete("/items/<int:item_id>/lease")
@blueprint.output({}, status_code=204)
def release(item_id: int) -> str:
    """Let go of an item. The lease of somebody else stays, and of what is gone there is nothing to let go."""
    review_queue.release(current_session(), item_id, viewer())
    commit()
    return ""


@blueprint.put("/items/<int:item_id>/assignee")
@blueprint.input(AssigneeIn)
@blueprint.output(AssigneeOut)
def assign(item_id: int, json_data: dict[str, Any]) -> dict[str, Any]:
    """Make an item somebody's work, or nobody's. The queue gives it to nobody else then."""
    user = assignment.assign(current_session(), asked_for(item_id), json_data["name"])
    commit()
    return {"name": user.name if user else None}
