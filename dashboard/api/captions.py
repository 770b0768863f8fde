"""The API of captions: one door for correcting, accepting and rejecting."""

from typing import Any

from apiflask import APIBlueprint

from catalog import blind_items, captions, inside
from catalog.inside import Inside
from catalog.schema import Caption
from dashboard.api.redecoding_schemas import InsideOut
from dashboard.api.schemas import CaptionChangeIn, CaptionOut
from dashboard.security import viewer
from dashboard.session import commit, current_session

blueprint = APIBlueprint("api_captions", __name__, url_prefix="/api/v1/captions", tag="Captions")


@blueprint.get("/<int:caption_id>")
@blueprint.output(CaptionOut)
def show(caption_id: int) -> Caption:
    """Show a caption, unless you still have to caption its photo blind."""
    return _read(caption_id)


@blueprint.get("/<int:caption_id>/inside")
@blueprint.output(InsideOut)
def show_inside(caption_id: int) -> Inside:
    """Show what the network thought of its words: confidence, doubts, and where it looked before each."""
    return inside.of_caption(current_session(), _read(caption_id))


@blueprint.patch("/<int:caption_id>")
@blueprint.input(CaptionChangeIn)
@blueprint.output(CaptionOut)
@blueprint.doc(responses={409: "Somebody changed it first; the problem carries `current` and `yours`."})
def change(caption_id: int, json_data: dict[str, Any]) -> Caption:
    """Change a caption's text, state, language and kind, all in one step."""
    session = current_session()
    caption = captions.get(session, caption_id, viewer=viewer())
    captions.revise(session, caption, user=viewer(), **json_data)
    commit()
    return caption


def _read(caption_id: int) -> Caption:
    """The caption, for somebody who will read its text."""
    session = current_session()
    caption = captions.get(session, caption_id, viewer=viewer())
    blind_items.require_seen(session, caption.item_id, viewer())
    return caption
