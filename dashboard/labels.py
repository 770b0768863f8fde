"""The words and colours under which pages show states, origins and times."""

from datetime import datetime

from flask import Flask

from catalog import pace
from catalog.schema import CaptionState, JobState, Origin, Reason, ReviewState, Severity

ORIGINS = {
    Origin.MODEL: ("AI", "ai", "written by the model, nobody has checked it"),
    Origin.ACCEPTED_UNCHANGED: ("AI · accepted", "ai", "written by the model, accepted as it was"),
    Origin.EDITED: ("Person · edited", "person", "corrected by a person"),
    Origin.WRITTEN: ("Person", "person", "written by a person"),
    Origin.BULK: ("Person · in bulk", "person", "decided by a person together with many others"),
    Origin.IMPORTED: ("Imported", "imported", "came with the import"),
}
CAPTION_STATES = {
    CaptionState.CANDIDATE: ("to review", "pending"),
    CaptionState.ACCEPTED: ("accepted", "accepted"),
    CaptionState.REJECTED: ("rejected", "rejected"),
}
JOB_STATES = {
    JobState.QUEUED: "pending",
    JobState.RUNNING: "pending",
    JobState.PAUSED: "pending",
    JobState.CANCELLED: "uncaptioned",
    JobState.DONE: "accepted",
    JobState.FAILED: "rejected",
}
SEVERITIES = {Severity.INFO: "uncaptioned", Severity.WARNING: "pending", Severity.ERROR: "rejected"}


def moment(when: datetime | None) -> str:
    """A time for people, in UTC; `static/times.js` turns it into local time."""
    return when.strftime("%Y-%m-%d %H:%M UTC") if when else ""


def init_app(app: Flask) -> None:
    app.add_template_filter(moment)
    app.add_template_filter(pace.in_words, "pace")
    app.jinja_env.globals.update(
        ORIGINS=ORIGINS,
        CAPTION_STATES=CAPTION_STATES,
        JOB_STATES=JOB_STATES,
        SEVERITIES=SEVERITIES,
        REVIEW_STATES=list(ReviewState),
        REASONS=list(Reason),
    )
