"""What the API takes and gives of decisions on captions and their history."""

from apiflask import Schema
from apiflask.fields import DateTime, Dict, Enum, Integer, List, Nested, String
from apiflask.validators import Length

from catalog.schema import CaptionState, OperationKind, Origin, Reason
from dashboard.api.schemas import LONGEST_PAGE, CaptionOut, ItemOut


class OrderIn(Schema):
    caption_ids = List(
        Integer(),
        required=True,
        validate=Length(1, LONGEST_PAGE),
        metadata={"description": "All of the item's captions, each once, the first first."},
    )


class PictureOut(Schema):
    """What a decision on a whole picture did."""

    item = Nested(ItemOut)
    captions = List(Nested(CaptionOut), metadata={"description": "The captions that it changed."})


class VersionIn(Schema):
    version = Integer(required=True, metadata={"description": "The version that was read."})


class RestoreIn(VersionIn):
    entry_id = Integer(required=True, metadata={"description": "The history entry to go back to."})


class ReasonIn(Schema):
    reason = Enum(Reason, by_value=True, required=True, allow_none=True)


class LineOut(Schema):
    id = Integer(attribute="entry.id")
    caption_id = Integer(attribute="entry.caption_id")
    version = Integer(attribute="entry.version", metadata={"description": "Of the caption, afterwards."})
    words = String(metadata={"description": "What happened, as a sentence goes on behind `who`."})
    who = String(allow_none=True, metadata={"description": "Null for a job and the command line."})
    job_id = Integer(attribute="entry.job_id", allow_none=True)
    checkpoint = String(allow_none=True, metadata={"description": "The captioner of the job."})
    operation_id = Integer(attribute="entry.operation_id", allow_none=True)
    operation = Enum(OperationKind, by_value=True, allow_none=True)
    text_before = String(attribute="entry.text_before", allow_none=True)
    text_after = String(attribute="entry.text_after", allow_none=True)
    state_before = Enum(CaptionState, by_value=True, attribute="entry.state_before", allow_none=True)
    state_after = Enum(CaptionState, by_value=True, attribute="entry.state_after", allow_none=True)
    origin_before = Enum(Origin, by_value=True, attribute="entry.origin_before", allow_none=True)
    origin_after = Enum(Origin, by_value=True, attribute="entry.origin_after", allow_none=True)
    reason = Enum(Reason, by_value=True, attribute="entry.reason", allow_none=True)
    created_at = DateTime(attribute="entry.created_at")


class CountedOut(Schema):
    checkpoint = String(attribute="checkpoint.name")
    reasons = Dict(keys=String(), values=Integer(), metadata={"description": "Corrections by reason."})
    total = Integer()
