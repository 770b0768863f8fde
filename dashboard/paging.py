"""Pages of listings in answers: where the address says to continue, and the link to the next page."""

from collections.abc import Sequence
from typing import Any

from flask import request, url_for

from catalog.pages import Listing, Row

Answer = tuple[Sequence[Row], int, dict[str, str]]


def wanted_place() -> int | None:
    """The id behind which the address asks to continue."""
    return request.args.get("after", type=int)


def linked(listing: Listing[Row]) -> Answer[Row]:
    """The rows as an answer of the API, with a Link header to the next page (RFC 8288) where one follows."""
    if listing.after is None:
        return listing.rows, 200, {}
    place: dict[str, Any] = {**request.args, **(request.view_args or {}), "after": listing.after}
    return listing.rows, 200, {"Link": f'<{url_for(request.endpoint or "", **place)}>; rel="next"'}
