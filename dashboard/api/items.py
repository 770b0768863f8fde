"""The API of items, with the captions and drafts on them."""

from collections.abc import Sequence
from typing import Any

from apiflask import APIBlueprint

from catalog import blind_items, captions, items
from catalog.captions import Held
from catalog.ingest import remove_blobs
from catalog.schema import Caption, Item
from dashboard.api.schemas import CaptionIn, CaptionOut, DraftIn, FlagIn, HeldOut, ItemOut
from dashboard.security import viewer
from dashboard.services import services
from dashboard.session import commit, current_session

blueprint = APIBlueprint("api_items", __name__, url_prefix="/api/v1/items", tag="Items")


def asked_for(item_id: int) -> Item:
    return items.get(current_session(), item_id, viewer=viewer())


@blueprint.get("/<int:item_id>")
@blueprint.output(ItemOut)
def show(item_id: int) -> Item:
    """Show an item."""
    return asked_for(item_id)


@blueprint.delete("/<int:item_id>")
@blueprint.output({}, status_code=204)
def delete(item_id: int) -> str:
    """Delete an item with its captions, and its stored files where nothing else uses them.

    A file that was left where it is stays.
    """
    keys = items.remove(current_session(), asked_for(item_id), user=viewer())
    commit()
    remove_blobs(services().database, services().blobs, keys)
    return ""


@blueprint.put("/<int:item_id>/flag")
@blueprint.input(FlagIn)
@blueprint.output(ItemOut)
def flag(item_id: int, json_data: dict[str, bool]) -> Item:
    """Flag an item for others to look at, or take the flag off."""
    item = asked_for(item_id)
    items.flag(current_session(), item, **json_data)
    commit()
    return item


@blueprint.get("/<int:item_id>/captions")
@blueprint.output(HeldOut(many=True))
def list_captions(item_id: int) -> Sequence[Held]:
    """List an item's captions in their order, with what the model said about its own.

    Answers 403 while you still have to caption it blind for a golden set.
    """
    session, item = current_session(), asked_for(item_id)
    blind_items.require_seen(session, item.id, viewer())
    return captions.of_item(session, item)


@blueprint.post("/<int:item_id>/captions")
@blueprint.input(CaptionIn)
@blueprint.output(CaptionOut, status_code=201)
def write_caption(item_id: int, json_data: dict[str, Any]) -> Caption:
    """Write a caption."""
    caption = captions.write(current_session(), asked_for(item_id), user=viewer(), **json_data)
    commit()
    return caption


@blueprint.put("/<int:item_id>/draft")
@blueprint.input(DraftIn)
@blueprint.output({}, status_code=204)
def save_draft(item_id: int, json_data: dict[str, Any]) -> str:
    """Keep a text that you have not decided on yet; an empty one forgets it."""
    session, caption_id = current_session(), json_data.pop("caption_id")
    caption = captions.get(session, caption_id, viewer=viewer()) if caption_id else None
    captions.save_draft(session, asked_for(item_id), user=viewer(), caption=caption, **json_data)
    commit()
    return ""
