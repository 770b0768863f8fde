"""The page of a spot check: captions drawn at random, one after the other, right or wrong."""

from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from catalog import collections, spot_checks
from catalog.filters import ItemFilter
from catalog.schema import SpotCheck
from dashboard.forms import Form
from dashboard.operation_changes import drawn
from dashboard.security import viewer
from dashboard.session import commit, current_session

blueprint = Blueprint("spot_checks", __name__)


@blueprint.post("/collections/<int:collection_id>/spot-checks")
def draw(collection_id: int) -> ResponseReturnValue:
    Form().require_valid()
    check = drawn(collection_id, ItemFilter.read(request.form))
    return redirect(url_for(".show", check_id=check.id), 303)


@blueprint.get("/spot-checks/<int:check_id>")
def show(check_id: int) -> ResponseReturnValue:
    session = current_session()
    check = spot_checks.get(session, check_id, viewer=viewer())
    words: dict[str, Any] = {**check.filter, "operation": "accept"}
    if check.finished_at:
        return redirect(url_for("bulk.show", collection_id=check.collection_id, check=check.id, **words))
    return render_template(
        "spot_check.html",
        check=check,
        place=_place(check),
        rate=spot_checks.error_rate(check),
        collection=collections.get(session, check.collection_id, viewer=viewer()),
        back=url_for("bulk.show", collection_id=check.collection_id, **words),
        form=Form(),
    )


@blueprint.post("/spot-checks/<int:check_id>/verdict")
def judge(check_id: int) -> ResponseReturnValue:
    Form().require_valid()
    check = spot_checks.get(current_session(), check_id, viewer=viewer())
    caption_id, right = request.form.get("caption", 0, type=int), request.form.get("right") == "yes"
    spot_checks.judge(current_session(), check, caption_id, right=right, user=viewer())
    commit()
    return redirect(url_for(".show", check_id=check_id), 303)


@blueprint.post("/spot-checks/<int:check_id>/finish")
def finish(check_id: int) -> ResponseReturnValue:
    Form().require_valid()
    check = spot_checks.get(current_session(), check_id, viewer=viewer())
    spot_checks.finish(current_session(), check, user=viewer())
    commit()
    return redirect(url_for(".show", check_id=check_id), 303)


def _place(check: SpotCheck) -> int:
    """The caption to show: the one that the address names, or the first that is not judged; one behind the
    last when all are."""
    judged = [str(one["id"]) in check.verdicts for one in check.captions]
    first = judged.index(False) if False in judged else len(judged)
    return min(max(request.args.get("at", first, type=int), 0), len(judged))
