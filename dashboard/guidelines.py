"""The page of a collection's guidelines and words to avoid."""

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from catalog import collections, guidelines
from catalog.schema import Collection
from dashboard.forms import GuidelinesForm
from dashboard.security import viewer
from dashboard.session import commit, current_session

blueprint = Blueprint("guidelines", __name__)


def asked_for(collection_id: int) -> Collection:
    return collections.get(current_session(), collection_id, viewer=viewer())


@blueprint.get("/collections/<int:collection_id>/guidelines")
def show(collection_id: int) -> ResponseReturnValue:
    collection = asked_for(collection_id)
    form = GuidelinesForm(obj=collection, data={"seen": guidelines.mark(collection)})
    return render_template("guidelines.html", collection=collection, form=form)


@blueprint.post("/collections/<int:collection_id>/guidelines")
def change(collection_id: int) -> ResponseReturnValue:
    form = GuidelinesForm()
    form.require_valid()
    guidelines.write(
        current_session(),
        asked_for(collection_id),
        guidelines=form.guidelines.data or "",
        avoid=form.avoid.data or "",
        seen=form.seen.data,
    )
    commit()
    return redirect(url_for("collections.show", collection_id=collection_id), 303)
