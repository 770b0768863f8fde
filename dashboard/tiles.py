"""What the grid draws its places with: the tiles of some items, and their thumbnails."""

from io import BytesIO

from flask import Blueprint, render_template, request, send_file
from flask.typing import ResponseReturnValue

from catalog import blind_items, item_lists
from dashboard.collections import asked_for
from dashboard.etags import with_etag
from dashboard.items import asked_for as item_of
from dashboard.security import viewer
from dashboard.services import services
from dashboard.session import current_session
from dashboard.wanted import wanted_tiles, wanted_words
from pictures.renditions import thumbnail as thumbnail_of

THUMBNAIL_AGE = 365 * 24 * 3600  # seconds; another rendition has another address

blueprint = Blueprint("tiles", __name__)


@blueprint.get("/collections/<int:collection_id>/tiles")
@with_etag
def show(collection_id: int) -> ResponseReturnValue:
    """The tiles of the items in `show`, in the order of their ids; links in them carry the filter."""
    session, collection = current_session(), asked_for(collection_id)
    tiles = item_lists.some(session, collection, wanted_tiles())
    return render_template(
        "_tiles.html",
        tiles=tiles,
        drafts=item_lists.drafts(session, tiles, viewer()),
        blind=blind_items.still_blind(session, [listed.item.id for listed in tiles], viewer()),
        words=wanted_words(),
    )


@blueprint.get("/items/<int:item_id>/thumbnail")
def thumbnail(item_id: int) -> ResponseReturnValue:
    """The rendition once more, as small as a tile."""
    key = item_of(item_id).image.rendition
    etag = f"{key}-thumbnail"
    # Who names this version already has it, and nothing is read or made.
    known = request.if_none_match.contains(etag)
    content = b"" if known else thumbnail_of(services().blobs.read(key))
    response = send_file(BytesIO(content), mimetype="image/jpeg", etag=etag)
    response.headers["Cache-Control"] = f"private, max-age={THUMBNAIL_AGE}"
    return response
