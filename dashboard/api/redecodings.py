"""The API of redecodings: other words for a place, or the rest behind typed words, asked of the network."""

from dataclasses import dataclass
from typing import Any

from apiflask import APIBlueprint
from flask import url_for

from catalog import blind_items, captions, items, redecodings, workers
from catalog.queue import CAPTION_QUEUE
from catalog.schema import Redecoding, RedecodingKind, RedecodingState
from dashboard.api.redecoding_schemas import RedecodingIn, RedecodingOut
from dashboard.progress import wake_workers
from dashboard.security import viewer
from dashboard.session import commit, current_session

REPLACEMENTS = 5  # where the question does not say how many

blueprint = APIBlueprint("api_redecodings", __name__, url_prefix="/api/v1", tag="Redecodings")


@dataclass(frozen=True)
class Answer:
    """A question as it stands."""

    redecoding: Redecoding
    waiting_for_a_worker: bool


@blueprint.post("/items/<int:item_id>/redecodings")
@blueprint.input(RedecodingIn)
@blueprint.output(RedecodingOut, status_code=202)
def ask(item_id: int, json_data: dict[str, Any]) -> tuple[Answer, int, dict[str, str]]:
    """Ask the network about a photo; the header Location names the address of the answer.

    A worker answers before it begins its next chunk. Questions and answers are kept for an hour.
    """
    session, kind = current_session(), json_data.pop("kind")
    item, caption_id = items.get(session, item_id, viewer=viewer()), json_data.pop("caption_id", None)
    blind_items.require_seen(session, item.id, viewer())
    caption = captions.get(session, caption_id, viewer=viewer()) if caption_id else None
    if kind is RedecodingKind.REPLACEMENTS:
        asked = {"count": REPLACEMENTS} | json_data
        made = redecodings.ask_for_replacements(session, item, user=viewer(), caption=caption, **asked)
    else:
        made = redecodings.ask_to_continue(session, item, user=viewer(), caption=caption, **json_data)
    commit()
    wake_workers()
    return _as_it_stands(made), 202, {"Location": url_for(".show", redecoding_id=made.id)}


@blueprint.get("/redecodings/<int:redecoding_id>")
@blueprint.output(RedecodingOut)
def show(redecoding_id: int) -> Answer:
    """Show how a question stands, to the user who asked it; ask again every 150 ms until it has ended."""
    return _as_it_stands(redecodings.get(current_session(), redecoding_id, viewer=viewer()))


def _as_it_stands(redecoding: Redecoding) -> Answer:
    waits = redecoding.state is RedecodingState.WAITING
    return Answer(
        redecoding, waiting_for_a_worker=waits and not workers.alive(current_session(), queue=CAPTION_QUEUE)
    )
