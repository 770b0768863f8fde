"""The page of one's own API tokens: made, with the secret shown once, and revoked."""

from flask import Blueprint, make_response, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from catalog import tokens
from catalog.schema import Scope, utc_now
from dashboard.forms import Form, TokenForm
from dashboard.paging import wanted_place
from dashboard.security import viewer
from dashboard.session import commit, current_session

blueprint = Blueprint("tokens", __name__)


@blueprint.get("/tokens")
def index() -> ResponseReturnValue:
    return _page()


@blueprint.post("/tokens")
def create() -> ResponseReturnValue:
    form = TokenForm()
    form.require_valid()
    _, secret = tokens.create(
        current_session(),
        viewer(),
        name=form.name.data,
        scope=Scope(form.scope.data),
        days=form.days.data,
    )
    commit()
    # Shown by this very answer, which no browser keeps: a redirect would have to store the secret meanwhile.
    response = make_response(_page(secret), 201)
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.post("/tokens/<int:token_id>/revoke")
def revoke(token_id: int) -> ResponseReturnValue:
    Form().require_valid()
    tokens.revoke(current_session(), token_id, user=viewer())
    commit()
    return redirect(url_for(".index"), 303)


def _page(secret: str | None = None) -> str:
    return render_template(
        "tokens.html",
        tokens=tokens.of_user(current_session(), viewer(), after=wanted_place()),
        secret=secret,
        now=utc_now(),
        form=TokenForm(formdata=None),
        revoke_form=Form(),
    )
