"""What the API takes and gives of golden sets. No text of the model is among it."""

from apiflask import Schema
from apiflask.fields import DateTime, Integer, List, Nested, String
from apiflask.validators import Length, Range

from catalog.captions import TEXT_LENGTH
from catalog.filters import MOST_IDS
from catalog.freezing import NAME_LENGTH
from catalog.golden_sets import MOST_PHOTOS, MOST_REFERENCES
from dashboard.api.schemas import FilterQuery


class GoldenSetsQuery(Schema):
    collection_id = Integer(required=True, metadata={"example": 1})


class GoldenSetIn(Schema):
    collection_id = Integer(required=True, metadata={"example": 1})
    name = String(required=True, validate=Length(1, NAME_LENGTH), metadata={"example": "harbour-golden"})
    size = Integer(
        required=True,
        validate=Range(1, MOST_PHOTOS),
        metadata={"description": "Photos to draw at random from the filter.", "example": 200},
    )
    references_each = Integer(
        load_default=1,
        validate=Range(1, MOST_REFERENCES),
        metadata={"description": "Captions a photo, each by another person."},
    )
    language = String(load_default="en", metadata={"description": "A tag of BCP 47, such as en or pt-BR."})
    filter = Nested(FilterQuery, load_default=dict)


class GoldenSetOut(Schema):
    id = Integer()
    collection_id = Integer()
    name = String(metadata={"example": "harbour-golden"})
    language = String(metadata={"example": "en"})
    references_each = Integer()
    dataset_id = Integer(
        allow_none=True, metadata={"description": "What it was frozen as; null: it is open."}
    )
    created_at = DateTime()


class BlindQuery(Schema):
    skip = List(
        Integer(),
        load_default=[],
        validate=Length(max=MOST_IDS),
        metadata={"description": "Items to leave out for now; `skip=3&skip=5`."},
    )


class BlindOut(Schema):
    """A photo to caption, and nothing that says what others wrote of it."""

    item_id = Integer()
    picture = String(metadata={"description": "The address of the picture.", "example": "/items/5/picture"})
    width = Integer()
    height = Integer()
    language = String(metadata={"example": "en"})
    guidelines = String()


class ReferenceIn(Schema):
    text = String(
        required=True,
        validate=Length(1, TEXT_LENGTH),
        metadata={"example": "Two boats lie in the harbour."},
    )


class ReferenceOut(Schema):
    item_id = Integer()
    text = String()
    updated_at = DateTime()


class WriterOut(Schema):
    name = String()
    written = Integer()


class StandingOut(GoldenSetOut):
    items = Integer(metadata={"description": "Photos of the set."})
    done = Integer(metadata={"description": "Those that have all their captions."})
    wanted = Integer(metadata={"description": "Captions that are to be written."})
    written = Integer(
        metadata={"description": "Captions that are written, without those beyond a photo's need."}
    )
    people = List(Nested(WriterOut))
