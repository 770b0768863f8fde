"""The API of grids: all the places of a filter at once."""

from collections.abc import Sequence
from typing import Any

from apiflask import APIBlueprint

from catalog import item_lists
from catalog.filters import ItemFilter
from dashboard.api.grid_schemas import IdsOut, IdsQuery
from dashboard.collections import asked_for
from dashboard.etags import with_etag
from dashboard.session import current_session

blueprint = APIBlueprint("api_grid", __name__, url_prefix="/api/v1/collections", tag="Collections")


@blueprint.get("/<int:collection_id>/item-ids")
@with_etag
@blueprint.input(IdsQuery, location="query")
@blueprint.output(IdsOut)
def item_ids(collection_id: int, query_data: dict[str, Any]) -> dict[str, Any]:
    """List nothing but the ids of items, in order and many at a time, with an ETag; `after` continues."""
    session, filter = current_session(), ItemFilter.read(query_data)
    collection = asked_for(collection_id)
    place = {name: query_data[name] for name in ("order", "after", "limit")}
    found = item_lists.ids(session, collection, filter, **place)
    total = item_lists.count(session, collection, filter)
    return {"runs": in_runs(found.ids), "after": found.after, "total": total}


def in_runs(ids: Sequence[int]) -> str:
    """Numbers as runs with commas between: `7+3` are 7 to 10, `7-3` are 7 down to 4."""
    runs: list[list[int]] = []
    for number in ids:
        first, length = runs[-1] if runs else (0, 0)
        step = number - first - length
        if runs and step in (-1, 1) and length * step >= 0:
            runs[-1][1] += step
        else:
            runs.append([number, 0])
    return ",".join(f"{first}{length:+d}" if length else str(first) for first, length in runs)
