"""The page of checkpoints, drawn from their JSON alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from catalog import reasons
from catalog.reasons import Counted
from catalog.schema import Checkpoint
from dashboard.paging import wanted_place
from dashboard.security import viewer
from dashboard.session import current_session

blueprint = Blueprint("checkpoints", __name__)


@dataclass(frozen=True)
class Shown:
    """A checkpoint with its scores, what they were measured on, and what people found wrong."""

    checkpoint: Checkpoint
    counted: Counted
    scores: dict[str, float]
    conditions: dict[str, str]
    words: int


@blueprint.get("/checkpoints")
def index() -> ResponseReturnValue:
    found = reasons.per_checkpoint(current_session(), viewer(), after=wanted_place())
    shown = [_shown(counted) for counted in found.rows]
    return render_template("checkpoints.html", listing=shown, after=found.after)


def _shown(counted: Counted) -> Shown:
    checkpoint = counted.checkpoint
    measured = checkpoint.description.get("scores", {})
    scores = measured.get("scores", measured)
    return Shown(
        checkpoint=checkpoint,
        counted=counted,
        scores={name: value for name, value in scores.items() if isinstance(value, float)},
        conditions=_conditions(measured),
        words=len(checkpoint.description.get("vocabulary", ())),
    )


def _conditions(measured: Mapping[str, Any]) -> dict[str, str]:
    told = {name: value for name, value in measured.items() if isinstance(value, str | int)}
    return {name.replace("_", " "): str(value) for name, value in told.items()}
