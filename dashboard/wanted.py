"""What the address of a page asks for: which items, in which order."""

from flask import request

from catalog.errors import InvalidInput
from catalog.filters import ItemFilter, read_ids
from catalog.item_lists import Order


def wanted_filter() -> ItemFilter:
    """The items that the address asks for. Raises InvalidInput for words that say nothing."""
    return ItemFilter.read(request.args)


def wanted_order() -> Order:
    """The order that the address asks for. Raises InvalidInput for one that there is not."""
    word = request.args.get("order") or Order.IMPORT
    if word not in set(Order):
        raise InvalidInput(f"order {word[:60]!r} is unknown; use one of {', '.join(Order)}")
    return Order(word)


def wanted_words(*without: str) -> dict[str, str]:
    """The filter and the order as words for other addresses, but for those that are not to be asked again."""
    order = wanted_order()
    words = wanted_filter().words() | ({} if order is Order.IMPORT else {"order": order.value})
    return {name: word for name, word in words.items() if name not in without}


def wanted_tiles() -> tuple[int, ...]:
    """The ids of the items that the address asks to draw, whatever its filter says."""
    return read_ids("show", request.args.get("show", ""))


def wanted_skips() -> tuple[int, ...]:
    """The items that were skipped on the way. Raises InvalidInput as `wanted_tiles` does."""
    word = request.args.get("skip", "")
    return read_ids("skip", word) if word else ()
