"""What the API takes and gives of jobs."""

from typing import Any

from apiflask import Schema
from apiflask.fields import Boolean, DateTime, Enum, Float, Integer, List, Nested, String, URLFor
from apiflask.validators import Length, OneOf, Range

from catalog.jobs import MODES, PRIORITIES
from catalog.schema import JobKind, JobState, Severity

PRIORITY = Range(*PRIORITIES)


class JobIn(Schema):
    collection_id = Integer(required=True)
    mode = String(load_default="fill", validate=OneOf(MODES))
    checkpoint = String(load_default=None, allow_none=True, validate=Length(1, 255))
    priority = Integer(load_default=0, validate=PRIORITY)


class PriorityIn(Schema):
    priority = Integer(required=True, validate=PRIORITY, metadata={"description": "Higher goes first."})


class JobOut(Schema):
    id = Integer()
    kind = Enum(JobKind, by_value=True)
    state = Enum(JobState, by_value=True)
    paused_because = String(
        allow_none=True, metadata={"description": "Why the system paused it; null when a person did."}
    )
    collection_id = Integer(allow_none=True)
    checkpoint_id = Integer(allow_none=True)
    priority = Integer()
    total = Integer()
    done = Integer()
    failed = Integer()
    skipped = Integer()
    error = String(allow_none=True)
    created_at = DateTime()
    started_at = DateTime(allow_none=True)
    finished_at = DateTime(allow_none=True)


class PaceOut(Schema):
    items_per_second = Float(
        attribute="pace.items_per_second",
        allow_none=True,
        metadata={"description": "Over the latest chunks; null while nothing is known, paused, or ended."},
    )
    seconds_left = Float(attribute="pace.seconds_left", allow_none=True)


class ListedJobOut(JobOut, PaceOut):
    collection = String(allow_none=True, metadata={"description": "The name of its collection."})

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """Most of it is the job's own."""
        own = attr.partition(".")[0] in ("pace", "collection")
        return super().get_attribute(obj if own else obj.job, attr, default)


class FailureOut(Schema):
    item_id = Integer()
    path = String()
    sha256 = String()
    picture = URLFor(
        "items.picture", values={"item_id": "<item_id>"}, metadata={"description": "A small JPEG of it."}
    )
    error = String()


class FailuresOut(Schema):
    failures = List(Nested(FailureOut), attribute="rows")
    after = Integer(allow_none=True, metadata={"description": "Null on the last page."})


class WorkerOut(Schema):
    name = String(attribute="worker.name")
    device = String(attribute="worker.device")
    host = String(attribute="worker.host")
    version = String(attribute="worker.version")
    trouble = String(
        attribute="worker.trouble", allow_none=True, metadata={"description": "What keeps it from working."}
    )
    busy = Boolean(metadata={"description": "It has a chunk of some job in hand."})
    job_id = Integer(allow_none=True, metadata={"description": "The job that it is at, if you may see it."})
    chunk = Integer(allow_none=True, metadata={"description": "The number of that chunk in the job."})


class CommandsOut(Schema):
    shell = String()
    curl = String(metadata={"description": "It takes an API token from the variable RECAPTION_TOKEN."})


class ProgressOut(PaceOut):
    job = Nested(JobOut)
    failures = List(
        Nested(FailureOut),
        attribute="failures.rows",
        metadata={"description": "The first of them; `/jobs/{id}/failures` lists them all."},
    )
    workers = List(Nested(WorkerOut), metadata={"description": "All that live, whatever they are at."})
    waiting_for_a_worker = Boolean()
    commands = Nested(
        CommandsOut, allow_none=True, metadata={"description": "What starts the same job once more."}
    )


class EventOut(Schema):
    id = Integer(attribute="event.id")
    action = String(attribute="event.action", metadata={"description": "A word for programs."})
    severity = Enum(Severity, by_value=True, attribute="event.severity")
    text = String(attribute="event.text")
    details = String(
        attribute="event.details", allow_none=True, metadata={"description": "The end of a traceback."}
    )
    user = String(attribute="who", allow_none=True)
    worker = String(attribute="event.worker", allow_none=True)
    created_at = DateTime(attribute="event.created_at")


class EventsOut(Schema):
    events = List(Nested(EventOut), attribute="rows")
    after = Integer(allow_none=True, metadata={"description": "Null on the last page."})


class TroubleOut(Schema):
    what = String()
    remedy = String()


class TroublesOut(Schema):
    troubles = List(Nested(TroubleOut))
