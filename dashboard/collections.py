"""Pages of collections: the list, the grid of one, its members, its export, its end."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from catalog import accounts, blind_items, checkpoints, collections, item_lists, jobs, review_queue
from catalog.ingest import remove_blobs
from catalog.schema import Collection
from dashboard.chips import chips
from dashboard.downloads import export_response
from dashboard.forms import CaptionJobForm, CollectionForm, Form, MemberForm
from dashboard.paging import wanted_place
from dashboard.progress import is_unfinished, wake_workers
from dashboard.security import require_admin, viewer
from dashboard.services import services
from dashboard.session import commit, current_session
from dashboard.wanted import wanted_filter, wanted_order, wanted_words

blueprint = Blueprint("collections", __name__)


def asked_for(collection_id: int) -> Collection:
    return collections.get(current_session(), collection_id, viewer=viewer())


@blueprint.get("/")
def index() -> ResponseReturnValue:
    summaries = collections.summaries(current_session(), viewer=viewer(), after=wanted_place())
    return render_template("collections.html", summaries=summaries, form=CollectionForm())


@blueprint.post("/collections")
def create() -> ResponseReturnValue:
    form = CollectionForm()
    form.require_valid()
    collection = collections.create(
        current_session(), name=form.name.data, owner=viewer(), guidelines=form.guidelines.data or ""
    )
    commit()
    return redirect(url_for(".show", collection_id=collection.id), 303)


@blueprint.get("/collections/<int:collection_id>")
def show(collection_id: int) -> ResponseReturnValue:
    session, collection = current_session(), asked_for(collection_id)
    latest = jobs.recent(session, viewer=viewer(), collection=collection, limit=1)
    wanted, order = wanted_filter(), wanted_order()
    place = wanted_place()
    page = item_lists.page(session, collection, wanted, order=order, after=place)
    return render_template(
        "collection.html",
        collection=collection,
        summary=collections.summary(session, collection),
        page=page,
        place=place,
        drafts=item_lists.drafts(session, page.items, viewer()),
        blind=blind_items.still_blind(session, [listed.item.id for listed in page.items], viewer()),
        filter=wanted,
        order=order,
        words=wanted_words(),
        wanted_words=wanted_words,
        chips=chips(wanted),
        hits=item_lists.hits(session, collection, wanted),
        checkpoints=checkpoints.newest(session).rows,
        people=collections.members(session, collection).rows,
        job=next(filter(is_unfinished, latest.rows), None),
        job_form=CaptionJobForm(),
    )


@blueprint.get("/collections/<int:collection_id>/review")
def review(collection_id: int) -> ResponseReturnValue:
    """Go to the item that the queue gives, or back to the collection when there is none."""
    words: dict[str, Any] = {**wanted_words()}
    collection, filter, order = asked_for(collection_id), wanted_filter(), wanted_order()
    # A transaction of its own: that of the request only reads.
    with services().database.writing() as session:
        item = review_queue.next_item(session, collection, filter, order=order, reviewer=viewer())
    if item is None:
        return redirect(url_for(".show", collection_id=collection_id, **words))
    return redirect(url_for("items.review", item_id=item.id, **words))


@blueprint.post("/collections/<int:collection_id>/jobs")
def start_job(collection_id: int) -> ResponseReturnValue:
    form = CaptionJobForm()
    form.require_valid()
    session = current_session()
    job = jobs.create_caption_job(
        session,
        asked_for(collection_id),
        checkpoint=checkpoints.active(session),
        user=viewer(),
        mode=form.mode.data,
    )
    commit()
    wake_workers()
    return redirect(url_for("jobs.show", job_id=job.id), 303)


@blueprint.get("/collections/<int:collection_id>/export")
def export(collection_id: int) -> ResponseReturnValue:
    return export_response(current_session(), asked_for(collection_id), request.args.get("format", "jsonl"))


@blueprint.get("/collections/<int:collection_id>/members")
def members(collection_id: int) -> ResponseReturnValue:
    session, collection = current_session(), asked_for(collection_id)
    users = collections.members(session, collection, after=wanted_place())
    return render_template(
        "members.html", collection=collection, members=users, add=MemberForm(), remove=Form()
    )


@blueprint.post("/collections/<int:collection_id>/members")
def add_member(collection_id: int) -> ResponseReturnValue:
    require_admin()
    form = MemberForm()
    form.require_valid()
    session = current_session()
    collections.add_member(session, asked_for(collection_id), accounts.by_name(session, form.name.data))
    commit()
    return redirect(url_for(".members", collection_id=collection_id), 303)


@blueprint.post("/collections/<int:collection_id>/members/<int:user_id>/remove")
def remove_member(collection_id: int, user_id: int) -> ResponseReturnValue:
    require_admin()
    session = current_session()
    collections.remove_member(session, asked_for(collection_id), accounts.get(session, user_id))
    commit()
    return redirect(url_for(".members", collection_id=collection_id), 303)


@blueprint.get("/collections/<int:collection_id>/delete")
def confirm_delete(collection_id: int) -> ResponseReturnValue:
    require_admin()
    collection = asked_for(collection_id)
    summary = collections.summary(current_session(), collection)
    return render_template("delete_collection.html", collection=collection, summary=summary, form=Form())


@blueprint.post("/collections/<int:collection_id>/delete")
def delete(collection_id: int) -> ResponseReturnValue:
    require_admin()
    collection = asked_for(collection_id)
    name = collection.name
    keys = collections.remove(current_session(), collection, user=viewer())
    commit()
    flash(f"“{name}” is deleted; {remove_blobs(services().database, services().blobs, keys)}.")
    return redirect(url_for(".index"), 303)
