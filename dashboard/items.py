"""Pages of items: the review page, and the pictures themselves."""

from io import BytesIO
from pathlib import PurePosixPath
from typing import Any

from flask import Blueprint, render_template, request, send_file
from flask.typing import ResponseReturnValue

from catalog import assignment, blind_items, captions, collections, history, item_lists, items, progress
from catalog.originals import open_referenced
from catalog.schema import Item
from dashboard.actions import keys_of
from dashboard.chips import chips
from dashboard.security import viewer
from dashboard.services import services
from dashboard.session import current_session
from dashboard.wanted import wanted_filter, wanted_order, wanted_words

PICTURE_AGE = 3600  # seconds that a browser may keep a rendition without asking again

blueprint = Blueprint("items", __name__)


def asked_for(item_id: int) -> Item:
    return items.get(current_session(), item_id, viewer=viewer())


@blueprint.get("/items/<int:item_id>")
def review(item_id: int) -> ResponseReturnValue:
    session, item = current_session(), asked_for(item_id)
    wanted, order = wanted_filter(), wanted_order()
    previous_id, next_id = item_lists.neighbours(session, item, wanted, order=order)
    shown: dict[str, Any] = {
        "item": item,
        "words": wanted_words(),
        "previous_id": previous_id,
        "next_id": next_id,
    }
    if golden_set := blind_items.still_blind(session, [item.id], viewer()).get(item.id):
        return render_template("held_back.html", golden_set=golden_set, **shown)
    return render_template(
        "review.html",
        held=captions.of_item(session, item),
        draft=captions.draft_of(session, item, viewer()),
        history=history.of_item(session, item.id, after=request.args.get("history", type=int)),
        summary=collections.summary(session, item.collection),
        filter=wanted,
        chips=chips(wanted),
        keys=keys_of(viewer()),
        **shown,
    )


@blueprint.get("/items/<int:item_id>/mine")
def mine(item_id: int) -> ResponseReturnValue:
    """What the panel of the review page shows once somebody opens it: the viewer's progress, the assignee."""
    session, item = current_session(), asked_for(item_id)
    return render_template(
        "mine.html",
        item=item,
        mine=progress.of_reviewer(session, item.collection, viewer()),
        assigned=assignment.assigned(session, item),
    )


@blueprint.get("/items/<int:item_id>/picture")
def picture(item_id: int) -> ResponseReturnValue:
    """The rendition: re-encoded by us, without the metadata of the original."""
    key = asked_for(item_id).image.rendition
    # Who names this version already has it, and nothing is read.
    content = b"" if request.if_none_match.contains(key) else services().blobs.read(key)
    response = send_file(BytesIO(content), mimetype="image/jpeg", etag=key)
    response.headers["Cache-Control"] = f"private, max-age={PICTURE_AGE}"
    return response


@blueprint.get("/items/<int:item_id>/original")
def original(item_id: int) -> ResponseReturnValue:
    """The file as it was imported: always a download, for nobody has checked what else is in it."""
    item = asked_for(item_id)
    told: dict[str, Any] = {
        "mimetype": "application/octet-stream",
        "as_attachment": True,
        "download_name": PurePosixPath(item.path).name,
        "etag": item.image.sha256,
    }
    if item.image.stored:
        with services().blobs.local(item.image.sha256) as file:
            # It is open from here on, so it is sent even when its name is gone.
            response = send_file(file, **told)
    else:
        response = send_file(open_referenced(current_session(), item, viewer=viewer()), **told)
        if response.status_code == 200:
            response.content_length = item.image.bytes
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response
