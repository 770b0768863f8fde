"""What the API takes and gives of datasets."""

from apiflask import Schema
from apiflask.fields import Boolean, DateTime, Dict, Enum, Integer, List, Nested, String
from apiflask.validators import Length, OneOf, Range

from catalog.dataset_differences import MOST_TOLD
from catalog.exports.datasets import DATASET_FORMATS
from catalog.freezing import NAME_LENGTH
from catalog.frozen_items import PAGE_SIZE
from catalog.schema import DatasetKind, Origin, Split
from dashboard.api.schemas import LONGEST_PAGE, FilterQuery, PageQuery


class DatasetsQuery(PageQuery):
    kind = Enum(DatasetKind, by_value=True, load_default=None)


class DatasetIn(Schema):
    collection_id = Integer(required=True, metadata={"example": 1})
    name = String(
        required=True,
        validate=Length(1, NAME_LENGTH),
        metadata={"example": "harbour", "description": "A name that there is gets a new version."},
    )
    filter = Nested(FilterQuery, load_default=dict)


class DatasetOut(Schema):
    id = Integer(metadata={"example": 7})
    name = String(metadata={"example": "harbour"})
    version = Integer(metadata={"example": 3})
    kind = Enum(DatasetKind, by_value=True)
    collection_id = Integer(allow_none=True, metadata={"description": "Null: it was deleted."})
    filter = Dict(
        keys=String(), values=String(), metadata={"description": "The words of an address that were frozen."}
    )
    guidelines = String(metadata={"description": "Of the collection, as they were."})
    manifest_sha256 = String(
        metadata={"description": "The hash of the content: equal content, equal hash.", "example": "9f2c…"}
    )
    images = Integer()
    captions = Integer()
    card = Dict(
        keys=String(),
        metadata={
            "description": "Counts by split and origin, words, vocabulary, reviewers, sources, left out."
        },
    )
    created_at = DateTime()


class FrozenOut(Schema):
    dataset = Nested(DatasetOut)
    is_new = Boolean(
        metadata={
            "description": "False: the newest version of that name holds the same, and stays the newest."
        }
    )


class FrozenItemsQuery(Schema):
    after = Integer(load_default=0, validate=Range(0), metadata={"description": "A place, counted from 1."})
    limit = Integer(load_default=PAGE_SIZE, validate=Range(1, LONGEST_PAGE))


class FrozenCaptionOut(Schema):
    text = String(metadata={"example": "Two boats lie in the harbour."})
    language = String(metadata={"example": "en"})
    kind = String()
    origin = String(metadata={"description": f"One of: {', '.join(Origin)}.", "example": "edited"})
    id = Integer(metadata={"description": "0 for a reference of a golden set, which is no caption."})
    version = Integer()
    model = String(allow_none=True, metadata={"description": "The captioner whose text it was or came from."})
    blind = Boolean(metadata={"description": "Written without seeing a text of the model."})


class FrozenItemOut(Schema):
    item_id = Integer()
    path = String()
    sha256 = String(metadata={"description": "Of the original."})
    rendition = String(metadata={"description": "The SHA-256 of the small JPEG that is learned from."})
    width = Integer()
    height = Integer()
    split = Enum(Split, by_value=True)
    captions = List(Nested(FrozenCaptionOut))
    external_id = String(allow_none=True)
    rights = String(allow_none=True)


class DifferencesQuery(Schema):
    against = Integer(required=True, metadata={"description": "The id of the older dataset.", "example": 6})


class DownloadQuery(Schema):
    format = String(load_default="jsonl", validate=OneOf(list(DATASET_FORMATS)))
    images = Boolean(load_default=True, metadata={"description": "With the pictures."})
    originals = Boolean(
        load_default=False, metadata={"description": "The files as they were imported, not their renditions."}
    )


class ChangeOut(Schema):
    item = Nested(FrozenItemOut)
    before = List(Nested(FrozenCaptionOut))
    after = List(Nested(FrozenCaptionOut))


class PartOut(Schema):
    count = Integer()
    items = List(
        Nested(FrozenItemOut), attribute="rows", metadata={"description": f"The first {MOST_TOLD} of them."}
    )


class ChangesOut(Schema):
    count = Integer()
    changes = List(
        Nested(ChangeOut), attribute="rows", metadata={"description": f"The first {MOST_TOLD} of them."}
    )


class DifferencesOut(Schema):
    added = Nested(PartOut)
    removed = Nested(PartOut)
    changed = Nested(ChangesOut)
