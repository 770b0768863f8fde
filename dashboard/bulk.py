"""Pages of bulk operations: what is selected and what to do with it, and the list of what was done."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from catalog import assignment, item_lists, operations, previews, spot_checks
from catalog.errors import InvalidInput
from catalog.filters import EVERYTHING, NOBODY, ItemFilter
from catalog.schema import Collection, OperationKind, SpotCheck
from catalog.selection import selection
from catalog.text_changes import TEXT_KINDS
from dashboard.collections import asked_for
from dashboard.forms import Form
from dashboard.operation_changes import started, undone
from dashboard.paging import wanted_place
from dashboard.security import viewer
from dashboard.session import current_session
from dashboard.wanted import wanted_filter

OPERATIONS = 30  # on a page

blueprint = Blueprint("bulk", __name__)


@blueprint.get("/collections/<int:collection_id>/bulk")
def show(collection_id: int) -> ResponseReturnValue:
    session, collection = current_session(), asked_for(collection_id)
    filter, kind = wanted_filter(), _kind(request.args)
    waiting = selection(collection, filter, OperationKind.ACCEPT, {}).extent(session)
    return render_template(
        "bulk.html",
        collection=collection,
        filter=filter,
        words=filter.words(),
        scopes=_scopes(collection, filter),
        waiting=waiting.total,
        kind=kind,
        preview=_preview(collection, filter, kind) if "preview" in request.args else None,
        check=_check(collection, filter),
        people=assignment.candidates(session, collection),
        nobody=NOBODY,
        form=Form(),
    )


@blueprint.post("/collections/<int:collection_id>/bulk")
def start(collection_id: int) -> ResponseReturnValue:
    Form().require_valid()
    kind = _kind(request.form)
    started(
        collection_id,
        kind=kind,
        filter=ItemFilter.read(request.form),
        options=_options(kind, request.form),
        spot_check_id=request.form.get("check", type=int),
    )
    return redirect(url_for(".listing", collection_id=collection_id), 303)


@blueprint.get("/collections/<int:collection_id>/operations")
def listing(collection_id: int) -> ResponseReturnValue:
    session, collection, after = current_session(), asked_for(collection_id), wanted_place()
    return render_template(
        "operations.html",
        collection=collection,
        operations=operations.recent(session, collection, after=after, limit=OPERATIONS),
        after=after,
        limit=OPERATIONS,
        viewer=viewer(),
    )


@blueprint.get("/operations/<int:operation_id>/undo")
def confirm_undo(operation_id: int) -> ResponseReturnValue:
    line = operations.get(current_session(), operation_id, viewer=viewer())
    back = url_for(".listing", collection_id=line.operation.collection_id)
    if not line.may_undo(viewer()):
        return redirect(back)
    return render_template("undo_operation.html", line=line, back=back, form=Form())


@blueprint.post("/operations/<int:operation_id>/undo")
def undo(operation_id: int) -> ResponseReturnValue:
    Form().require_valid()
    line = undone(operation_id)
    return redirect(url_for(".listing", collection_id=line.operation.collection_id), 303)


def _kind(words: Mapping[str, str]) -> OperationKind:
    word = words.get("operation") or OperationKind.ACCEPT
    if word not in set(OperationKind) - {OperationKind.UNDO}:
        raise InvalidInput(f"operation {word[:60]!r} is unknown; choose one on the page")
    return OperationKind(word)


def _options(kind: OperationKind, words: MultiDict[str, str]) -> dict[str, Any]:
    """What the fields of the page say about an operation of this kind."""
    if kind is OperationKind.ASSIGN:
        return {"assignee": words.get("to", "")}
    if kind not in TEXT_KINDS:
        return {}
    said: dict[str, Any] = {"states": words.getlist("states"), "caption_kind": words.get("captions")}
    if kind is OperationKind.REPLACE:
        ticked = {name: name in words for name in ("pattern", "whole", "case")}
        return said | ticked | {"find": words.get("find", ""), "put": words.get("put", "")}
    return said | {"text": words.get("text", "")}


def _scopes(collection: Collection, filter: ItemFilter) -> list[tuple[str, ItemFilter, int]]:
    """What may be selected from here, from little to all, with true counts."""
    found = {"These": filter} if filter.ids else {}
    found |= {"Filtered": filter.without("ids")} if filter.without("ids") != EVERYTHING else {}
    found["All"] = EVERYTHING
    session = current_session()
    return [(name, one, item_lists.count(session, collection, one)) for name, one in found.items()]


def _preview(collection: Collection, filter: ItemFilter, kind: OperationKind) -> previews.Preview:
    options = _options(kind, request.args)
    return previews.preview(
        current_session(), collection, kind=kind, filter=filter, options=options, viewer=viewer()
    )


def _check(
    collection: Collection, filter: ItemFilter
) -> tuple[SpotCheck, spot_checks.ErrorRate | None] | None:
    """The finished spot check that the address names, if it is the viewer's and of these photos."""
    check_id = request.args.get("check", type=int)
    if check_id is None:
        return None
    check = spot_checks.get(current_session(), check_id, viewer=viewer())
    same = (check.collection_id, check.filter) == (collection.id, filter.words())
    fits = same and check.finished_at and check.user_id == viewer().id
    return (check, spot_checks.error_rate(check)) if fits else None
