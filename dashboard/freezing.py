"""The page on which a filter of a collection is frozen: what would be in the dataset, and its name."""

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from catalog import collections, datasets, freeze_previews
from catalog.filters import ItemFilter
from catalog.freezing import Frozen
from dashboard.collections import asked_for
from dashboard.forms import Form
from dashboard.security import viewer
from dashboard.services import services
from dashboard.session import current_session
from dashboard.wanted import wanted_filter

blueprint = Blueprint("freezing", __name__)


def frozen(collection_id: int, name: str, wanted: ItemFilter) -> Frozen:
    """Freeze what the filter finds, in transactions of its own: it takes longer than others can wait."""
    database = services().database
    with database.reading() as session:
        collections.get(session, collection_id, viewer=viewer())
    return datasets.freeze(
        database, services().blobs, collection_id, name, wanted=wanted, user_id=viewer().id
    )


@blueprint.get("/collections/<int:collection_id>/freeze")
def show(collection_id: int) -> ResponseReturnValue:
    session, collection = current_session(), asked_for(collection_id)
    wanted = wanted_filter()
    return render_template(
        "freeze.html",
        collection=collection,
        words=wanted.words(),
        preview=freeze_previews.preview(session, collection, wanted),
        lines=freeze_previews.lines(session, collection),
        form=Form(),
    )


@blueprint.post("/collections/<int:collection_id>/freeze")
def freeze(collection_id: int) -> ResponseReturnValue:
    Form().require_valid()
    made = frozen(collection_id, request.form.get("name", ""), ItemFilter.read(request.form))
    return redirect(
        url_for("datasets.show", dataset_id=made.dataset_id, same=None if made.is_new else "y"), 303
    )
