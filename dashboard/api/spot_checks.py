"""The API of spot checks: drawn, judged caption by caption, finished."""

from typing import Any

from apiflask import APIBlueprint

from catalog import spot_checks
from catalog.filters import ItemFilter
from catalog.schema import SpotCheck
from dashboard.api.operation_schemas import SpotCheckIn, SpotCheckOut, VerdictIn
from dashboard.operation_changes import drawn
from dashboard.security import viewer
from dashboard.session import commit, current_session

blueprint = APIBlueprint("api_spot_checks", __name__, url_prefix="/api/v1", tag="Bulk operations")


def asked_for(check_id: int) -> SpotCheck:
    return spot_checks.get(current_session(), check_id, viewer=viewer())


def told(check: SpotCheck) -> dict[str, Any]:
    return {"check": check, "error_rate": spot_checks.error_rate(check)}


@blueprint.post("/collections/<int:collection_id>/spot-checks")
@blueprint.input(SpotCheckIn)
@blueprint.output(SpotCheckOut, status_code=201)
def draw(collection_id: int, json_data: dict[str, Any]) -> dict[str, Any]:
    """Draw 20 captions at random among those that accepting the filter would accept; fewer are all drawn."""
    return told(drawn(collection_id, ItemFilter.read(json_data["filter"])))


@blueprint.get("/spot-checks/<int:check_id>")
@blueprint.output(SpotCheckOut)
def show(check_id: int) -> dict[str, Any]:
    """Show a spot check with its captions, verdicts and error rate."""
    return told(asked_for(check_id))


@blueprint.put("/spot-checks/<int:check_id>/verdicts/<int:caption_id>")
@blueprint.input(VerdictIn)
@blueprint.output(SpotCheckOut)
def judge(check_id: int, caption_id: int, json_data: dict[str, bool]) -> dict[str, Any]:
    """Say whether a caption that was drawn is right. Until the check is finished, the last word counts."""
    check = asked_for(check_id)
    spot_checks.judge(current_session(), check, caption_id, user=viewer(), **json_data)
    commit()
    return told(check)


@blueprint.post("/spot-checks/<int:check_id>/finish")
@blueprint.output(SpotCheckOut)
def finish(check_id: int) -> dict[str, Any]:
    """Finish a check whose captions are all judged, and record its error rate for good."""
    check = asked_for(check_id)
    spot_checks.finish(current_session(), check, user=viewer())
    commit()
    return told(check)
