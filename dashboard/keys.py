"""The page of one's own keys for the review page."""

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from catalog import accounts
from dashboard.actions import ACTIONS, checked, keys_of
from dashboard.forms import Form
from dashboard.security import viewer
from dashboard.session import commit, current_session

blueprint = Blueprint("keys", __name__)


@blueprint.get("/keys")
def index() -> ResponseReturnValue:
    return render_template("keys.html", actions=keys_of(viewer()), form=Form())


@blueprint.post("/keys")
def save() -> ResponseReturnValue:
    Form().require_valid()
    wanted = {action.name: request.form.get(action.name, action.key) for action in ACTIONS}
    accounts.set_keys(current_session(), viewer(), checked(wanted) if "reset" not in request.form else {})
    commit()
    return redirect(url_for(".index", saved="yes"), 303)
