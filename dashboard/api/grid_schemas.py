"""What the API of grids takes and gives."""

from apiflask import Schema
from apiflask.fields import Enum, Integer, String
from apiflask.validators import Range

from catalog.item_lists import MOST_AT_ONCE, Order
from dashboard.api.schemas import FilterQuery


class IdsQuery(FilterQuery):
    order = Enum(Order, by_value=True, load_default=Order.IMPORT)
    after = Integer(load_default=None, metadata={"description": "Continue behind this item."})
    limit = Integer(load_default=MOST_AT_ONCE, validate=Range(1, MOST_AT_ONCE))


class IdsOut(Schema):
    runs = String(
        metadata={
            "description": "The ids in order, with commas between; `7+3` stands for 7, 8, 9 and 10, "
            "and `7-3` for 7, 6, 5 and 4."
        }
    )
    after = Integer(allow_none=True, metadata={"description": "Null where no more follow."})
    total = Integer(metadata={"description": "How many items the filter finds in all, exactly."})
