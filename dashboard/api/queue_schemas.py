"""What the API takes and gives of the queue of reviewers, of assignment and of their progress."""

from apiflask import Schema
from apiflask.fields import Enum, Integer, List, String
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
