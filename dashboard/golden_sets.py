"""Pages of golden sets: drawn at random, captioned blind photo after photo, frozen once all are done.

No page here shows a text of the model, nor asks the server for one.
"""

from dataclasses import replace
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from catalog import collections, golden_sets
from catalog.datasets import Frozen
from catalog.filters import MOST_IDS, ItemFilter
from catalog.schema import GoldenSet, Item
from dashboard.actions import keys_of
from dashboard.collections import asked_for as collection_of
from dashboard.forms import Form, GoldenSetForm
from dashboard.security import viewer
from dashboard.services import services
from dashboard.session import commit, current_session
from dashboard.wanted import wanted_filter, wanted_skips

# What keys of the review page do here.
KEYS = {
    "accept": "Save and next",
    "leave": "Leave the box",
    "onward": "Skip",
    "edit": "Write",
    "edit-too": "Write",
    "skip": "Skip",
    "zoom": "Zoom to 100 %",
    "help": "Keys",
}

blueprint = Blueprint("golden_sets", __name__)


def asked_for(golden_set_id: int) -> GoldenSet:
    return golden_sets.get(current_session(), golden_set_id, viewer=viewer())


def frozen(golden_set_id: int) -> Frozen:
    """Freeze a golden set, in transactions of its own."""
    with services().database.reading() as session:
        golden_sets.get(session, golden_set_id, viewer=viewer())
    return golden_sets.freeze(services().database, services().blobs, golden_set_id)


def next_item(golden_set: GoldenSet, skipped: tuple[int, ...]) -> tuple[Item | None, tuple[int, ...]]:
    """What the viewer captions next, and what is skipped on the way: nothing, once nothing else is left."""
    session = current_session()
    item = golden_sets.next_blind(session, golden_set, viewer(), skip=skipped)
    if item is None and skipped:
        return golden_sets.next_blind(session, golden_set, viewer()), ()
    return item, skipped


@blueprint.get("/collections/<int:collection_id>/golden-sets")
def listing(collection_id: int) -> ResponseReturnValue:
    session, collection = current_session(), collection_of(collection_id)
    return render_template(
        "golden_sets.html",
        collection=collection,
        sets=golden_sets.of_collection(session, collection),
        words=wanted_filter().words(),
        form=GoldenSetForm(),
    )


@blueprint.post("/collections/<int:collection_id>/golden-sets")
def draw(collection_id: int) -> ResponseReturnValue:
    form = GoldenSetForm()
    form.require_valid()
    golden_set = golden_sets.draw(
        current_session(),
        collection_of(collection_id),
        name=form.name.data,
        size=form.size.data,
        references_each=form.references_each.data,
        language=form.language.data,
        wanted=ItemFilter.read(request.form),
        user=viewer(),
    )
    commit()
    return redirect(url_for(".show", golden_set_id=golden_set.id), 303)


@blueprint.get("/golden-sets/<int:golden_set_id>")
def show(golden_set_id: int) -> ResponseReturnValue:
    session, golden_set = current_session(), asked_for(golden_set_id)
    return render_template(
        "golden_set.html",
        golden_set=golden_set,
        collection=collections.get(session, golden_set.collection_id, viewer=viewer()),
        standing=golden_sets.standing(session, golden_set),
        form=Form(),
    )


@blueprint.get("/golden-sets/<int:golden_set_id>/write")
def blind(golden_set_id: int) -> ResponseReturnValue:
    session, golden_set = current_session(), asked_for(golden_set_id)
    item, skipped = next_item(golden_set, wanted_skips())
    if item is None:
        return redirect(url_for(".show", golden_set_id=golden_set_id))
    return render_template(
        "blind.html",
        golden_set=golden_set,
        collection=collections.get(session, golden_set.collection_id, viewer=viewer()),
        standing=golden_sets.standing(session, golden_set),
        item=item,
        skip=_words([*skipped, item.id]),
        skipped=_words(skipped),
        keys=[replace(key, words=KEYS[key.name]) for key in keys_of(viewer()) if key.name in KEYS],
        form=Form(),
    )


@blueprint.post("/golden-sets/<int:golden_set_id>/write")
def write(golden_set_id: int) -> ResponseReturnValue:
    Form().require_valid()
    golden_set = asked_for(golden_set_id)
    item_id, text = request.form.get("item", 0, type=int), request.form.get("text", "")
    golden_sets.write(current_session(), golden_set, item_id, text, user=viewer())
    commit()
    words: dict[str, Any] = {"skip": request.form.get("skip") or None}
    return redirect(url_for(".blind", golden_set_id=golden_set_id, **words), 303)


@blueprint.post("/golden-sets/<int:golden_set_id>/freeze")
def freeze(golden_set_id: int) -> ResponseReturnValue:
    Form().require_valid()
    return redirect(url_for("datasets.show", dataset_id=frozen(golden_set_id).dataset_id), 303)


def _words(item_ids: list[int] | tuple[int, ...]) -> str | None:
    return ",".join(map(str, item_ids[-MOST_IDS:])) or None
