"""The API of troubles: what keeps jobs from going on."""

from typing import Any

from apiflask import APIBlueprint

from dashboard.api.job_schemas import TroublesOut
from dashboard.etags import with_etag
from dashboard.services import services
from dashboard.session import current_session

blueprint = APIBlueprint("api_troubles", __name__, url_prefix="/api/v1/troubles", tag="Jobs")


@blueprint.get("")
@with_etag
@blueprint.output(TroublesOut)
def listing() -> dict[str, Any]:
    """Say what keeps jobs from going on, and what helps; with an ETag for polling."""
    return {"troubles": services().troubles(current_session())}
