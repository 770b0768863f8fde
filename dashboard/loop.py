"""The page, and the panel of the front page, on what corrections gave."""

from collections.abc import Callable, Sequence

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from catalog.loop_progress import Step, loop_progress
from dashboard.curves import Plot, Point, plot
from dashboard.security import viewer
from dashboard.session import current_session

X_NAME = "checkpoint"

blueprint = Blueprint("loop", __name__)


@blueprint.get("/loop")
def show() -> ResponseReturnValue:
    progress = loop_progress(current_session(), viewer())
    return render_template("loop.html", progress=progress, plots=plots(progress.steps))


def plots(steps: Sequence[Step]) -> list[Plot]:
    """Score, word edits and share accepted unchanged, each over the checkpoints; those that say something."""
    edits = _points(steps, lambda step: step.reviews.edits_each)
    unchanged = _points(steps, lambda step: step.reviews.share_unchanged)
    drawn = [
        plot("golden-cider", "CIDEr on the golden set", _scores(steps), x_name=X_NAME),
        plot("word-edits", "Words changed a caption", edits, x_name=X_NAME, y_format="{:.1f}".format),
        plot("unchanged", "Accepted unchanged", unchanged, x_name=X_NAME, y_format="{:.0%}".format),
    ]
    return [one for one in drawn if one]


def _scores(steps: Sequence[Step]) -> list[Point]:
    numbered = [(number, step.score) for number, step in enumerate(steps, start=1)]
    return [Point(number, score.value, score.low, score.high) for number, score in numbered if score]


def _points(steps: Sequence[Step], value: Callable[[Step], float | None]) -> list[Point]:
    found = [(number, value(step)) for number, step in enumerate(steps, start=1)]
    return [Point(number, one) for number, one in found if one is not None]
