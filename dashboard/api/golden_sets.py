"""The API of golden sets: drawn, captioned blind, frozen."""

from typing import Any

from apiflask import APIBlueprint
from flask import Response, url_for

from catalog import collections, datasets, golden_sets
from catalog.filters import ItemFilter
from catalog.schema import GoldenSet
from dashboard.api.dataset_schemas import FrozenOut
from dashboard.api.golden_schemas import (
    BlindOut,
    BlindQuery,
    GoldenSetIn,
    GoldenSetOut,
    GoldenSetsQuery,
    ReferenceIn,
    ReferenceOut,
    StandingOut,
)
from dashboard.golden_sets import frozen
from dashboard.security import viewer
from dashboard.session import commit, current_session

blueprint = APIBlueprint("api_golden_sets", __name__, url_prefix="/api/v1/golden-sets", tag="Golden sets")


def asked_for(golden_set_id: int) -> GoldenSet:
    return golden_sets.get(current_session(), golden_set_id, viewer=viewer())


@blueprint.get("")
@blueprint.input(GoldenSetsQuery, location="query")
@blueprint.output(GoldenSetOut(many=True))
def listing(query_data: dict[str, int]) -> Any:
    """List the golden sets of a collection."""
    session = current_session()
    collection = collections.get(session, query_data["collection_id"], viewer=viewer())
    return golden_sets.of_collection(session, collection)


@blueprint.post("")
@blueprint.input(GoldenSetIn)
@blueprint.output(GoldenSetOut, status_code=201)
def draw(json_data: dict[str, Any]) -> GoldenSet:
    """Draw photos at random from a filter, for people to caption without seeing a text of the model."""
    session, wanted = current_session(), ItemFilter.read(json_data.pop("filter"))
    collection = collections.get(session, json_data.pop("collection_id"), viewer=viewer())
    golden_set = golden_sets.draw(session, collection, wanted=wanted, user=viewer(), **json_data)
    commit()
    return golden_set


@blueprint.get("/<int:golden_set_id>")
@blueprint.output(StandingOut)
def show(golden_set_id: int) -> dict[str, Any]:
    """Show a golden set, how far it is, and who wrote how many captions."""
    golden_set = asked_for(golden_set_id)
    standing = golden_sets.standing(current_session(), golden_set)
    people = [{"name": name, "written": number} for name, number in standing.people]
    of_set = {name: getattr(golden_set, name) for name in GoldenSetOut().fields}
    return of_set | vars(standing) | {"people": people}


@blueprint.get("/<int:golden_set_id>/next")
@blueprint.input(BlindQuery, location="query")
@blueprint.output(BlindOut)
@blueprint.doc(responses={204: "Nothing is left for you to caption but what you skip."})
def next_item(golden_set_id: int, query_data: dict[str, Any]) -> Response | dict[str, Any]:
    """Show the photo that you caption next: one with the fewest captions so far, and none by you."""
    session, golden_set = current_session(), asked_for(golden_set_id)
    item = golden_sets.next_blind(session, golden_set, viewer(), skip=query_data["skip"])
    if item is None:
        return Response(status=204)
    return {
        "item_id": item.id,
        "picture": url_for("items.picture", item_id=item.id),
        "width": item.image.width,
        "height": item.image.height,
        "language": golden_set.language,
        "guidelines": collections.get(session, golden_set.collection_id, viewer=viewer()).guidelines,
    }


@blueprint.put("/<int:golden_set_id>/items/<int:item_id>")
@blueprint.input(ReferenceIn)
@blueprint.output(ReferenceOut)
def write(golden_set_id: int, item_id: int, json_data: dict[str, str]) -> Any:
    """Write your caption of a photo of the set, blind; until the set is frozen, your last one counts."""
    reference = golden_sets.write(
        current_session(), asked_for(golden_set_id), item_id, user=viewer(), **json_data
    )
    commit()
    return reference


@blueprint.post("/<int:golden_set_id>/freeze")
@blueprint.output(FrozenOut, status_code=201)
def freeze(golden_set_id: int) -> dict[str, Any]:
    """Freeze a golden set whose captions are all written, as a dataset that checkpoints are judged on."""
    made = frozen(golden_set_id)
    return {
        "dataset": datasets.get(current_session(), made.dataset_id, viewer=viewer()),
        "is_new": made.is_new,
    }
