"""The API of decisions: on whole pictures, on the order of captions, and back again."""

from typing import Any

from apiflask import APIBlueprint

from catalog import blind_items, captions, decisions, history, items, reasons
from catalog.history import Line
from catalog.reasons import Counted
from catalog.schema import Caption, Item
from dashboard.api.decision_schemas import (
    CountedOut,
    LineOut,
    OrderIn,
    PictureOut,
    ReasonIn,
    RestoreIn,
    VersionIn,
)
from dashboard.api.schemas import NEXT_PAGE, CaptionOut, HeldOut, PageQuery
from dashboard.paging import Answer, linked
from dashboard.security import viewer
from dashboard.session import commit, current_session

STALE = {409: "Somebody changed it first; the problem carries `current` and `yours`."}

blueprint = APIBlueprint("api_decisions", __name__, url_prefix="/api/v1", tag="Decisions")


def item_asked_for(item_id: int) -> Item:
    return items.get(current_session(), item_id, viewer=viewer())


def caption_asked_for(caption_id: int) -> Caption:
    return captions.get(current_session(), caption_id, viewer=viewer())


@blueprint.put("/items/<int:item_id>/captions/order")
@blueprint.input(OrderIn)
@blueprint.output(HeldOut(many=True))
def reorder(item_id: int, json_data: dict[str, list[int]]) -> Any:
    """Put all captions of an item in order; the answer lists them so."""
    session, item = current_session(), item_asked_for(item_id)
    blind_items.require_seen(session, item.id, viewer())
    captions.reorder(session, item, json_data["caption_ids"], viewer())
    commit()
    return captions.of_item(session, item)


@blueprint.post("/items/<int:item_id>/reject")
@blueprint.output(PictureOut)
def reject(item_id: int) -> dict[str, Any]:
    """Reject a picture: all its captions that wait. What is decided already stays."""
    item = item_asked_for(item_id)
    rejected = decisions.reject_picture(current_session(), item, viewer())
    commit()
    return {"item": item, "captions": rejected}


@blueprint.post("/items/<int:item_id>/reopen")
@blueprint.output(PictureOut)
def reopen(item_id: int) -> dict[str, Any]:
    """Take the rejection of a picture back from the captions that nobody changed since."""
    item = item_asked_for(item_id)
    reopened = decisions.reopen_picture(current_session(), item, viewer())
    commit()
    return {"item": item, "captions": reopened}


@blueprint.get("/items/<int:item_id>/history")
@blueprint.input(PageQuery, location="query")
@blueprint.output(LineOut(many=True))
@blueprint.doc(responses=NEXT_PAGE)
def list_history(item_id: int, query_data: dict[str, Any]) -> Answer[Line]:
    """List what happened to an item's captions, newest first; the Link header leads to the next page."""
    session, item = current_session(), item_asked_for(item_id)
    blind_items.require_seen(session, item.id, viewer())
    return linked(history.of_item(session, item.id, **query_data))


@blueprint.post("/captions/<int:caption_id>/restore")
@blueprint.input(RestoreIn)
@blueprint.output(CaptionOut)
@blueprint.doc(responses=STALE)
def restore(caption_id: int, json_data: dict[str, int]) -> Caption:
    """Give a caption the text and the state that it had after a history entry, as a new version."""
    session = current_session()
    caption = decisions.restore(session, caption_asked_for(caption_id), user=viewer(), **json_data)
    commit()
    return caption


@blueprint.post("/captions/<int:caption_id>/undo")
@blueprint.input(VersionIn)
@blueprint.output(CaptionOut)
@blueprint.doc(responses=STALE)
def undo(caption_id: int, json_data: dict[str, int]) -> Caption:
    """Take back the last change of a caption's text or state, as a new version."""
    session = current_session()
    caption = decisions.undo(session, caption_asked_for(caption_id), user=viewer(), **json_data)
    commit()
    return caption


@blueprint.post("/captions/<int:caption_id>/reason")
@blueprint.input(ReasonIn)
@blueprint.output({}, status_code=204)
def give_reason(caption_id: int, json_data: dict[str, Any]) -> str:
    """Say what was wrong with a caption before you changed it; null takes the reason away."""
    reasons.give(current_session(), caption_asked_for(caption_id), user=viewer(), **json_data)
    commit()
    return ""


@blueprint.get("/checkpoints/reasons")
@blueprint.input(PageQuery, location="query")
@blueprint.output(CountedOut(many=True))
@blueprint.doc(responses=NEXT_PAGE)
def list_reasons(query_data: dict[str, Any]) -> Answer[Counted]:
    """Count corrections by reason for each checkpoint, newest first, where you may see the captions."""
    return linked(reasons.per_checkpoint(current_session(), viewer(), **query_data))
