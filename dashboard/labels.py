"""The words and colours under which pages show states, origins and times."""

from collections.abc import Mapping
from datetime import datetime

from flask import Flask

from catalog import pace
from catalog.filters import MOST_IDS, NOBODY
from catalog.item_lists import Order
from catalog.schema import (
    CaptionKind,
    CaptionState,
    JobState,
    Operation,
    OperationKind,
    OperationState,
    Origin,
    Reason,
    ReviewState,
    Severity,
)

ORIGINS = {
    Origin.MODEL: ("AI", "ai", "written by the model, nobody has checked it"),
    Origin.ACCEPTED_UNCHANGED: ("AI · accepted", "ai", "written by the model, accepted as it was"),
    Origin.EDITED: ("Person · edited", "person", "corrected by a person"),
    Origin.WRITTEN: ("Person", "person", "written by a person"),
    Origin.BULK: ("Person · in bulk", "person", "decided by a person together with many others"),
    Origin.IMPORTED: ("Imported", "imported", "came with the import"),
}
# The origins again, as counts name them.
ORIGIN_WORDS = {
    Origin.MODEL: "by the model",
    Origin.ACCEPTED_UNCHANGED: "accepted unchanged",
    Origin.EDITED: "edited",
    Origin.WRITTEN: "written",
    Origin.BULK: "decided in bulk",
    Origin.IMPORTED: "imported",
    "blind": "written blind",
}
CAPTION_STATES = {
    CaptionState.CANDIDATE: ("to review", "pending"),
    CaptionState.ACCEPTED: ("accepted", "accepted"),
    CaptionState.REJECTED: ("rejected", "rejected"),
}
# What a training run learns from, by the names of its counts.
TRAINING_DATA = {
    "new": "new photos",
    "replay": "earlier photos, replayed",
    "distilled": "photos of this collection, captioned by the base",
    "validation": "photos to choose the epoch by",
    "wanted": "earlier photos wanted",
    "prohibited": "left out, prohibited by now",
    "other_languages": "captions left out, in other languages",
}
ORDERS = {
    Order.IMPORT: "as imported",
    Order.NEWEST: "newest first",
    Order.UNCERTAIN: "least certain first",
    Order.RANDOM: "at random",
    Order.NAME: "by file name",
}
KINDS = {CaptionKind.CAPTION: "caption", CaptionKind.ALT: "alt text", CaptionKind.DESCRIPTION: "description"}
JOB_STATES = {
    JobState.QUEUED: "pending",
    JobState.RUNNING: "pending",
    JobState.PAUSED: "pending",
    JobState.CANCELLED: "uncaptioned",
    JobState.DONE: "accepted",
    JobState.FAILED: "rejected",
}
SEVERITIES = {Severity.INFO: "uncaptioned", Severity.WARNING: "pending", Severity.ERROR: "rejected"}


# What a filter asks for, as people say it.
FILTER_WORDS = {
    "state": "in the state {}",
    "q": "whose captions say “{}”",
    "origin": "with a caption of the origin {}",
    "kind": "with a text of the kind {}",
    "language": "with a text in {}",
    "checkpoint": "captioned by {}",
    "reviewer": "decided by {}",
    "since": "changed since {}",
    "until": "changed until {}",
    "above": "with a confidence of {} at least",
    "below": "with a confidence below {}",
    "path": "with “{}” in the file name",
    "assignee": "assigned to {}",
    "flagged": "flagged: {}",
}
OPERATION_STATES = {
    OperationState.RUNNING: "pending",
    OperationState.DONE: "accepted",
    OperationState.FAILED: "rejected",
}


def filter_in_words(words: Mapping[str, str]) -> str:
    """What a filter, given by the words of an address, finds: `photos in the state pending, flagged: yes`."""
    named = len(words["ids"].split(",")) if "ids" in words else 0
    photos = f"{named:,} ticked {'photo' if named == 1 else 'photos'}" if named else "photos"
    nobody = {"assignee": "assigned to nobody"} if words.get("assignee") == NOBODY else {}
    asked = [(FILTER_WORDS | nobody)[name].format(words[name]) for name in FILTER_WORDS if name in words]
    return " ".join([photos, ", ".join(asked)]).strip() if named or asked else "all photos"


def operation_in_words(operation: Operation) -> str:
    """What an operation does: `Replace “dog” by “cat”`."""
    said = operation.options
    match operation.kind:
        case OperationKind.REPLACE:
            what = "the pattern " if said.get("pattern") else ""
            return f"Replace {what}“{said['find']}” by “{said.get('put', '')}”"
        case OperationKind.PREPEND | OperationKind.APPEND:
            where = "before" if operation.kind is OperationKind.PREPEND else "behind"
            return f"Put “{said['text']}” {where} captions"
        case OperationKind.ASSIGN:
            return f"Assign to {said['assignee']}" if said["assignee_id"] else "Assign to nobody"
        case OperationKind.UNDO:
            return f"Undo operation {operation.undoes_id}"
        case kind:
            return f"{kind.capitalize()} captions that wait"


def sentence(text: str) -> str:
    """What services say, with a capital and a final stop."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def moment(when: datetime | None) -> str:
    """A time for people, in UTC; `static/times.js` turns it into local time."""
    return when.strftime("%Y-%m-%d %H:%M UTC") if when else ""


def init_app(app: Flask) -> None:
    app.add_template_filter(moment)
    app.add_template_filter(sentence)
    app.add_template_filter(pace.in_words, "pace")
    app.add_template_filter(pace.left_in_words)
    app.add_template_filter(filter_in_words, "in_words")
    app.add_template_filter(operation_in_words)
    app.jinja_env.globals.update(
        OPERATION_STATES=OPERATION_STATES,
        ORIGINS=ORIGINS,
        ORIGIN_WORDS=ORIGIN_WORDS,
        TRAINING_DATA=TRAINING_DATA,
        CAPTION_STATES=CAPTION_STATES,
        ORDERS=ORDERS,
        KINDS=KINDS,
        JOB_STATES=JOB_STATES,
        SEVERITIES=SEVERITIES,
        REVIEW_STATES=list(ReviewState),
        REASONS=list(Reason),
        MOST_IDS=MOST_IDS,
        CAPTION_KINDS=list(CaptionKind),
    )
