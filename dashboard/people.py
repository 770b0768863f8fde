"""The page where admins add users and keep them out again."""

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from catalog import accounts
from catalog.errors import Conflict
from catalog.schema import Role
from dashboard.forms import ActiveForm, UserForm
from dashboard.paging import wanted_place
from dashboard.security import require_admin, viewer
from dashboard.session import commit, current_session

blueprint = Blueprint("people", __name__)


@blueprint.get("/people")
def index() -> ResponseReturnValue:
    require_admin()
    users = accounts.users(current_session(), after=wanted_place())
    return render_template("people.html", users=users, form=UserForm(), active_form=ActiveForm())


@blueprint.post("/people")
def add() -> ResponseReturnValue:
    require_admin()
    form = UserForm()
    form.require_valid()
    accounts.create_user(
        current_session(), name=form.name.data, role=Role(form.role.data), password=form.password.data
    )
    commit()
    return redirect(url_for(".index"), 303)


@blueprint.post("/people/<int:user_id>/active")
def set_active(user_id: int) -> ResponseReturnValue:
    require_admin()
    form = ActiveForm()
    form.require_valid()
    if user_id == viewer().id:
        raise Conflict("you cannot lock yourself out; ask another admin")
    session = current_session()
    accounts.set_active(session, accounts.get(session, user_id), form.active.data)
    commit()
    return redirect(url_for(".index"), 303)
