"""The page of near-duplicates: photos that look alike side by side, to keep or to skip."""

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from catalog import items, near_duplicates
from catalog.errors import NotFound
from catalog.ingest import remove_blobs
from catalog.schema import Item
from dashboard.collections import asked_for
from dashboard.forms import Form, SkipForm
from dashboard.security import viewer
from dashboard.services import services
from dashboard.session import commit, current_session

blueprint = Blueprint("duplicates", __name__, url_prefix="/collections/<int:collection_id>/duplicates")


def item_of(collection_id: int, item_id: int) -> Item:
    """The item, when it is in this collection. Raises NotFound."""
    item = items.get(current_session(), item_id, viewer=viewer())
    if item.collection_id != collection_id:
        raise NotFound(f"there is no item {item_id} in this collection")
    return item


@blueprint.get("")
def show(collection_id: int) -> ResponseReturnValue:
    collection = asked_for(collection_id)
    after = request.args.get("after", type=int)
    return render_template(
        "duplicates.html",
        collection=collection,
        page=near_duplicates.page(current_session(), collection, after=after, viewer=viewer()),
        after=after,
        keep_form=Form(),
        skip_form=SkipForm(),
    )


@blueprint.post("/keep")
def keep(collection_id: int) -> ResponseReturnValue:
    Form().require_valid()
    item_ids = request.form.getlist("item", type=int)
    near_duplicates.keep(current_session(), asked_for(collection_id), item_ids)
    commit()
    return _back(collection_id)


@blueprint.post("/skip/<int:item_id>")
def skip(collection_id: int, item_id: int) -> ResponseReturnValue:
    form = SkipForm()
    form.require_valid()
    item = item_of(collection_id, item_id)
    confirmed = bool(form.confirmed.data)
    keys = near_duplicates.skip(current_session(), item, user=viewer(), confirmed=confirmed)
    commit()
    remove_blobs(services().database, services().blobs, keys)
    return _back(collection_id)


def _back(collection_id: int) -> ResponseReturnValue:
    after = request.args.get("after", type=int)
    return redirect(url_for(".show", collection_id=collection_id, after=after), 303)
