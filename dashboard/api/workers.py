"""The API of workers: which of them live, and what each is at."""

from apiflask import APIBlueprint

from catalog.roster import Post, roster
from dashboard.api.job_schemas import WorkerOut
from dashboard.etags import with_etag
from dashboard.security import viewer
from dashboard.session import current_session

blueprint = APIBlueprint("api_workers", __name__, url_prefix="/api/v1/workers", tag="Jobs")


@blueprint.get("")
@with_etag
@blueprint.output(WorkerOut(many=True))
def listing() -> list[Post]:
    """List the workers that live, with the chunk that each has in hand; with an ETag for polling."""
    return roster(current_session(), viewer=viewer())
