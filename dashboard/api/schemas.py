"""What the API takes and gives. A field that a body has and its schema has not is refused."""

from enum import StrEnum

from apiflask import Schema
from apiflask.fields import (
    Boolean,
    Date,
    DateTime,
    Dict,
    Enum,
    File,
    Float,
    Integer,
    List,
    Nested,
    String,
)
from apiflask.validators import Length, OneOf, Range

from catalog.captions import TEXT_LENGTH
from catalog.exports import FORMATS
from catalog.filters import LONGEST_WORD, MOST_IDS, NOBODY
from catalog.guidelines import GUIDELINES_LENGTH
from catalog.item_lists import PAGE_SIZE, Order
from catalog.near_duplicates import GROUPS_AT_A_TIME
from catalog.pages import PAGE_SIZE as PAGE
from catalog.schema import CaptionKind, CaptionState, Origin, Reason, ReviewState, UploadState
from catalog.search import LONGEST_QUERY, MOST_COUNTED

LONGEST_PAGE = 500


class YesNo(StrEnum):
    YES = "yes"
    NO = "no"


# What a listing's answer says beside its rows.
NEXT_PAGE = {200: 'The rows; where more follow, the header Link names their address with rel="next".'}


class PageQuery(Schema):
    after = Integer(load_default=None, metadata={"description": "Continue behind the row with this id."})
    limit = Integer(load_default=PAGE, validate=Range(1, LONGEST_PAGE))


class CollectionIn(Schema):
    name = String(required=True, validate=Length(1, 255))
    guidelines = String(load_default="", validate=Length(max=GUIDELINES_LENGTH))


class GuidelinesIn(Schema):
    guidelines = String(validate=Length(max=GUIDELINES_LENGTH))
    avoid = String(metadata={"description": "Words that captions should not have, a line each."})


class CollectionOut(Schema):
    id = Integer(attribute="collection.id")
    name = String(attribute="collection.name")
    guidelines = String(attribute="collection.guidelines")
    avoid = String(attribute="collection.avoid")
    created_at = DateTime(attribute="collection.created_at")
    total = Integer()
    states = Dict(keys=String(), values=Integer(), metadata={"description": "Items by review state."})


class FilterQuery(Schema):
    """Which items; what is left out is not asked. Conditions on captions have to hold of one and the same."""

    state = Enum(ReviewState, by_value=True)
    q = String(
        validate=Length(max=LONGEST_QUERY),
        metadata={
            "description": "Items whose captions hold all these words. `boat*` finds the beginnings of "
            "words; words in double quotes stand in this order."
        },
    )
    origin = Enum(Origin, by_value=True)
    kind = Enum(CaptionKind, by_value=True)
    language = String(validate=Length(max=LONGEST_WORD))
    checkpoint = String(validate=Length(max=LONGEST_WORD), metadata={"description": "The name of one."})
    reviewer = String(
        validate=Length(max=LONGEST_WORD), metadata={"description": "Who decided the caption last."}
    )
    since = Date(metadata={"description": "The first day of the caption's last change, in UTC."})
    until = Date(metadata={"description": "The last day of the caption's last change, in UTC."})
    above = Float(validate=Range(0, 1), metadata={"description": "The least confidence of the model."})
    below = Float(validate=Range(0, 1), metadata={"description": "The model's confidence is less than this."})
    path = String(validate=Length(max=LONGEST_WORD), metadata={"description": "A part of the file's path."})
    assignee = String(
        validate=Length(max=LONGEST_WORD), metadata={"description": f"A user's name; `{NOBODY}` for nobody."}
    )
    flagged = Enum(YesNo, by_value=True)
    ids = String(metadata={"description": f"Up to {MOST_IDS} numbers of items, with commas between."})


class ItemsQuery(FilterQuery):
    order = Enum(
        Order,
        by_value=True,
        load_default=Order.IMPORT,
        metadata={"description": "With nothing but `q` and `state`, hits come in the order of their ids."},
    )
    after = Integer(load_default=None, metadata={"description": "Continue behind this item."})
    limit = Integer(load_default=PAGE_SIZE, validate=Range(1, LONGEST_PAGE))


class CaptionOut(Schema):
    id = Integer()
    item_id = Integer()
    text = String()
    language = String()
    kind = Enum(CaptionKind, by_value=True)
    state = Enum(CaptionState, by_value=True)
    origin = Enum(Origin, by_value=True)
    version = Integer()
    job_id = Integer(allow_none=True)
    checkpoint_id = Integer(allow_none=True)
    model = String(
        allow_none=True, metadata={"description": "The captioner that an imported caption is from."}
    )
    created_at = DateTime()
    updated_at = DateTime()


class DetailOut(Schema):
    model_text = String()
    score = Float(
        metadata={
            "description": "Log probability over length ** length_penalty, less what expected words take."
        }
    )
    confidence = Float(
        allow_none=True,
        metadata={
            "description": "0 to 1: the share of words that people would have chosen; null where unknown."
        },
    )
    alternatives = List(Dict())


class HeldOut(Schema):
    caption = Nested(CaptionOut)
    detail = Nested(DetailOut, allow_none=True, metadata={"description": "Null for what people wrote."})


class ItemOut(Schema):
    id = Integer()
    collection_id = Integer()
    path = String()
    external_id = String(allow_none=True)
    rights = String(allow_none=True)
    training_prohibited = Boolean(
        metadata={"description": "The file forbids training (plus:DataMining): no dataset will hold it."}
    )
    position = Integer()
    flagged = Boolean()
    review_state = Enum(ReviewState, by_value=True)
    sha256 = String(attribute="image.sha256")
    format = String(attribute="image.format")
    width = Integer(attribute="image.width")
    height = Integer(attribute="image.height")
    created_at = DateTime()


class ListedItemOut(Schema):
    item = Nested(ItemOut)
    caption = Nested(CaptionOut, allow_none=True, metadata={"description": "The one that lists show."})


class ItemsOut(Schema):
    items = List(Nested(ListedItemOut))
    after = Integer(allow_none=True, metadata={"description": "Null on the last page."})
    hits = Integer(
        allow_none=True,
        metadata={
            "description": f"What `q` finds in all: {MOST_COUNTED + 1} stands for more than {MOST_COUNTED}; "
            "null without `q`."
        },
    )


class TwinOut(Schema):
    item = Nested(ItemOut)
    bytes = Integer(attribute="item.image.bytes")
    caption = Nested(CaptionOut, allow_none=True, metadata={"description": "The one that lists show."})
    identical = Boolean(metadata={"description": "Another photo of the group has the very same bytes."})
    touched = Boolean(metadata={"description": "People worked on it; skipping it must be confirmed."})
    kept = Boolean(attribute="item.twins_kept")


class GroupOut(Schema):
    id = Integer()
    size = Integer(metadata={"description": "How many photos look alike, also those not listed here."})
    twins = List(Nested(TwinOut))


class DuplicatesQuery(Schema):
    after = Integer(load_default=None, metadata={"description": "Continue behind this group."})
    limit = Integer(load_default=GROUPS_AT_A_TIME, validate=Range(1, LONGEST_PAGE))


class DuplicatesOut(Schema):
    groups = List(Nested(GroupOut))
    total = Integer(metadata={"description": "Groups, on all pages."})
    unhashed = Integer(metadata={"description": "Photos that `recaption doctor --repair` has to look at."})
    after = Integer(allow_none=True, metadata={"description": "Null on the last page."})


class KeepIn(Schema):
    item_ids = List(Integer(), required=True, validate=Length(1, LONGEST_PAGE))


class KeepOut(Schema):
    kept = Integer()


class SkipIn(Schema):
    item_id = Integer(required=True)
    confirmed = Boolean(load_default=False, metadata={"description": "Needed for what people worked on."})


class FlagIn(Schema):
    flagged = Boolean(required=True)


class UploadIn(Schema):
    files = List(File(), required=True, validate=Length(1, 64))


class FileReportOut(Schema):
    path = String()
    status = String(
        metadata={"description": "imported, duplicate, already here; or why the file was left out."}
    )
    stored = Boolean()
    item_id = Integer(allow_none=True)
    detail = String()


class UploadOut(Schema):
    files = List(Nested(FileReportOut))


class ImportIn(Schema):
    files = Integer(
        load_default=0, validate=Range(0, 10_000_000), metadata={"description": "How many will come."}
    )
    together = Boolean(
        load_default=False,
        metadata={"description": "Import nothing before all files are here: captions are among them."},
    )


class ReportsQuery(Schema):
    failed = Boolean(load_default=False, metadata={"description": "Only files that were left out."})
    after = Integer(load_default=None)
    limit = Integer(load_default=100, validate=Range(1, LONGEST_PAGE))


class ReportsOut(Schema):
    files = List(Nested(FileReportOut))
    after = Integer(allow_none=True, metadata={"description": "Null on the last page."})


class UploadsQuery(Schema):
    after = Integer(load_default=None)
    limit = Integer(load_default=LONGEST_PAGE, validate=Range(1, LONGEST_PAGE))


class UploadedOut(Schema):
    path = String()
    length = Integer()
    received = Integer()
    state = Enum(UploadState, by_value=True)
    key = String(metadata={"description": "The upload's address is /api/v1/uploads/KEY."})


class UploadsOut(Schema):
    uploads = List(Nested(UploadedOut))
    after = Integer(allow_none=True, metadata={"description": "Null on the last page."})


class CaptionIn(Schema):
    text = String(required=True, validate=Length(max=TEXT_LENGTH))
    language = String(load_default="en", metadata={"description": "A tag of BCP 47, such as en or pt-BR."})
    kind = Enum(CaptionKind, by_value=True, load_default=CaptionKind.CAPTION)
    state = Enum(CaptionState, by_value=True, load_default=CaptionState.ACCEPTED)


class CaptionChangeIn(Schema):
    version = Integer(required=True, metadata={"description": "The version that was read."})
    text = String(validate=Length(max=TEXT_LENGTH))
    state = Enum(CaptionState, by_value=True)
    language = String(metadata={"description": "A tag of BCP 47, such as en or pt-BR."})
    kind = Enum(CaptionKind, by_value=True)
    reason = Enum(Reason, by_value=True, metadata={"description": "What was wrong with it before."})


class DraftIn(Schema):
    text = String(required=True, validate=Length(max=TEXT_LENGTH))
    caption_id = Integer(load_default=None, allow_none=True)
    version = Integer(load_default=None, allow_none=True)


class ExportQuery(Schema):
    format = String(load_default="jsonl", validate=OneOf(FORMATS))
