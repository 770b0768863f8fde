"""What the API takes and gives of the queue of reviewers, of assignment and of their progress."""

from apiflask import Schema
from apiflask.fields import Enum, Float, Integer, List, Nested, String
from apiflask.validators import Length

from catalog.filters import MOST_IDS
from catalog.item_lists import Order
from dashboard.api.schemas import FilterQuery


class QueueQuery(FilterQuery):
    order = Enum(Order, by_value=True, load_default=Order.IMPORT)


class QueueIn(Schema):
    behind = Integer(
        load_default=None,
        allow_none=True,
        metadata={"description": "The item behind which to look, whether it is still wanted or not."},
    )
    skip = List(
        Integer(),
        load_default=[],
        validate=Length(max=MOST_IDS),
        metadata={"description": "Items to leave out, for you have been through them."},
    )


class QueuedOut(Schema):
    item_id = Integer()
    url = String(metadata={"description": "Its review page, under the same filter and order."})


class LeaseOut(Schema):
    holder = String(allow_none=True, metadata={"description": "Who else is at the item; null: it is yours."})
    seconds = Integer(metadata={"description": "For how long a lease lasts unless it is renewed."})


class AssigneeIn(Schema):
    name = String(
        required=True,
        allow_none=True,
        validate=Length(1, 255),
        metadata={"description": "A member of the collection or an admin; null for nobody."},
    )


class AssigneeOut(Schema):
    name = String(allow_none=True)


class SpeedOut(Schema):
    median_seconds = Float(
        allow_none=True, metadata={"description": "Between the decisions on two photos of one sitting."}
    )
    photos_an_hour = Float(allow_none=True, metadata={"description": "Null while nothing is known."})


class DecisionsOut(Schema):
    today = Integer(metadata={"description": "Since midnight in UTC."})
    week = Integer(metadata={"description": "In the last seven days."})
    total = Integer()
    accepted = Integer(metadata={"description": "As they were."})
    edited = Integer()
    rejected = Integer()
    written = Integer()


class ReviewerOut(Schema):
    name = String()
    decisions = Nested(DecisionsOut)
    speed = Nested(SpeedOut)
    assigned = Integer(metadata={"description": "Photos of this collection."})
    left = Integer(metadata={"description": "Those of them that are not decided yet."})


class ReviewProgressQuery(Schema):
    after = Integer(load_default=None)


class ReviewProgressOut(Schema):
    decisions = Nested(DecisionsOut, metadata={"description": "By everybody. Bulk operations do not count."})
    speed = Nested(SpeedOut)
    left = Integer(metadata={"description": "Photos that wait for review."})
    seconds_left = Float(
        allow_none=True, metadata={"description": "One person's work on them, at the latest pace."}
    )
    reviewers = List(Nested(ReviewerOut), attribute="reviewers.rows")
    after = Integer(
        attribute="reviewers.after", allow_none=True, metadata={"description": "Null on the last page."}
    )


class MyProgressOut(Schema):
    today = Integer(metadata={"description": "Decisions in this collection since midnight in UTC."})
    speed = Nested(SpeedOut)
