"""The page of a collection's progress: what its reviewers decided, how fast, and what is left."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from catalog import collections, progress
from catalog.pace import left_in_words
from dashboard.paging import wanted_place
from dashboard.security import viewer
from dashboard.session import current_session

blueprint = Blueprint("reviewers", __name__)


@blueprint.get("/collections/<int:collection_id>/progress")
def show(collection_id: int) -> ResponseReturnValue:
    session = current_session()
    collection = collections.get(session, collection_id, viewer=viewer())
    made = progress.of_collection(session, collection, viewer=viewer(), after=wanted_place())
    left = left_in_words(made.seconds_left, work=True) if made.seconds_left else ""
    summary = collections.summary(session, collection)
    return render_template(
        "progress.html", collection=collection, summary=summary, progress=made, left_in_words=left
    )
