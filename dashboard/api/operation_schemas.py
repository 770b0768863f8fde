"""What the API takes and gives of bulk operations and spot checks."""

from apiflask import Schema
from apiflask.fields import Boolean, DateTime, Dict, Enum, Float, Integer, List, Nested, String
from apiflask.validators import Length

from catalog.filters import NOBODY
from catalog.schema import CaptionKind, CaptionState, OperationKind, OperationState
from catalog.text_changes import LONGEST
from dashboard.api.schemas import FilterQuery

TEXT = Length(max=LONGEST)


class OptionsIn(Schema):
    """What an operation of some kinds has to know beside its filter."""

    find = String(validate=TEXT, metadata={"description": "replace: what is looked for."})
    put = String(
        validate=TEXT,
        metadata={
            "description": r"replace: what comes in its place; of a pattern, \1 and \g<name> are groups."
        },
    )
    pattern = Boolean(metadata={"description": "replace: `find` is a regular expression."})
    whole = Boolean(metadata={"description": "replace: only whole words."})
    case = Boolean(metadata={"description": "replace: capitals have to agree."})
    text = String(validate=TEXT, metadata={"description": "prepend, append: what is added."})
    caption_kind = Enum(CaptionKind, by_value=True, metadata={"description": "Texts of which kind change."})
    states = List(
        Enum(CaptionState, by_value=True),
        metadata={"description": "Texts in which states change; by default those that are not rejected."},
    )
    assignee = String(metadata={"description": f"assign: a user's name; `{NOBODY}` for nobody."})


class PreviewIn(Schema):
    kind = Enum(OperationKind, by_value=True, required=True)
    filter = Nested(FilterQuery, load_default=dict)
    options = Nested(OptionsIn, load_default=dict)


class OperationIn(PreviewIn):
    spot_check_id = Integer(
        load_default=None,
        allow_none=True,
        metadata={"description": "accept: a finished check of the same filter; ticked `ids` take none."},
    )


class DifferenceOut(Schema):
    mark = String(metadata={"description": "`same`, `gone` or `new`."})
    words = String()


class ExampleOut(Schema):
    item_id = Integer()
    caption_id = Integer()
    path = String()
    before = String()
    after = String()
    differences = List(Nested(DifferenceOut))


class PreviewOut(Schema):
    total = Integer(metadata={"description": "Captions, or items to assign, that the selection holds."})
    changed = Integer(metadata={"description": "How many of them would change."})
    exact = Boolean(metadata={"description": "False: time ran out, and there may be more that would change."})
    examples = List(Nested(ExampleOut))


class ErrorRateOut(Schema):
    wrong = Integer()
    checked = Integer()
    rate = Float()
    low = Float(metadata={"description": "The lower end of the 95 % interval (Wilson)."})
    high = Float()


class OperationOut(Schema):
    id = Integer(attribute="operation.id")
    collection_id = Integer(attribute="operation.collection_id")
    kind = Enum(OperationKind, by_value=True, attribute="operation.kind")
    state = Enum(OperationState, by_value=True, attribute="operation.state")
    user = String(attribute="who", allow_none=True)
    filter = Dict(keys=String(), values=String(), attribute="operation.filter")
    options = Dict(attribute="operation.options")
    total = Integer(attribute="operation.total")
    done = Integer(attribute="operation.done")
    skipped = Integer(attribute="operation.skipped")
    error = String(attribute="operation.error", allow_none=True)
    undoes_id = Integer(attribute="operation.undoes_id", allow_none=True)
    undone_by_id = Integer(attribute="undone_by.id", allow_none=True, dump_default=None)
    spot_check_id = Integer(attribute="operation.spot_check_id", allow_none=True)
    error_rate = Nested(ErrorRateOut, allow_none=True)
    created_at = DateTime(attribute="operation.created_at")
    finished_at = DateTime(attribute="operation.finished_at", allow_none=True)


class SpotCheckIn(Schema):
    filter = Nested(FilterQuery, load_default=dict)


class DrawnOut(Schema):
    id = Integer()
    item_id = Integer()
    version = Integer()
    text = String()


class SpotCheckOut(Schema):
    id = Integer(attribute="check.id")
    collection_id = Integer(attribute="check.collection_id")
    filter = Dict(keys=String(), values=String(), attribute="check.filter")
    total = Integer(
        attribute="check.total", metadata={"description": "Captions from which these were drawn."}
    )
    captions = List(Nested(DrawnOut), attribute="check.captions")
    verdicts = Dict(
        keys=String(),
        values=Boolean(),
        attribute="check.verdicts",
        metadata={"description": "By the id of a caption: whether it is right."},
    )
    error_rate = Nested(ErrorRateOut, allow_none=True)
    created_at = DateTime(attribute="check.created_at")
    finished_at = DateTime(attribute="check.finished_at", allow_none=True)


class VerdictIn(Schema):
    right = Boolean(required=True)
