"""The guidelines of a collection and its words to avoid, on their page and through the API."""

import re

import pytest

from catalog.guidelines import GUIDELINES_LENGTH, MOST_WORDS, WORD_LENGTH
from tests.dashboard.visitor import Visitor


def seen(visitor: Visitor, collection: int) -> str:
    """The mark of the guidelines as the page has them."""
    found = re.search(r'name="seen" type="hidden" value="(\w+)"', page(visitor, collection))
    assert found
    return found[1]


def page(visitor: Visitor, collection: int) -> str:
    return visitor.get(f"/collections/{collection}/guidelines").text


def test_members_change_the_guidelines_and_strangers_see_none(
    admin: Visitor, reviewer: Visitor, collection: int
) -> None:
    address = f"/collections/{collection}/guidelines"
    fields = {"guidelines": "Say what is seen.", "avoid": "guy"}
    assert reviewer.get(address).status_code == 404
    assert reviewer.submit(address, fields).status_code == 404
    assert reviewer.call("PATCH", f"/collections/{collection}", json=fields).status_code == 404
    admin.submit(f"/collections/{collection}/members", {"name": "bob"})
    answer = reviewer.submit(address, {**fields, "seen": seen(reviewer, collection)})
    assert answer.status_code == 303
    assert "Say what is seen." in reviewer.get(f"/collections/{collection}").text
    assert admin.call("GET", f"/collections/{collection}").json["avoid"] == "guy"
    assert address in reviewer.get(f"/collections/{collection}").text


def test_words_to_avoid_are_kept_once_a_line(admin: Visitor, collection: int) -> None:
    avoid = "  Guy \n\nguy\r\nold   man\n\x07"
    changed = admin.call("PATCH", f"/collections/{collection}", json={"avoid": avoid})
    assert (changed.status_code, changed.json["avoid"]) == (200, "Guy\nold man")
    assert admin.call("PATCH", f"/collections/{collection}", json={"avoid": ""}).json["avoid"] == ""


def test_the_api_changes_only_what_it_is_told(admin: Visitor, collection: int) -> None:
    admin.call("PATCH", f"/collections/{collection}", json={"avoid": "guy"})
    changed = admin.call("PATCH", f"/collections/{collection}", json={"guidelines": "Be brief."}).json
    assert (changed["guidelines"], changed["avoid"], changed["name"]) == ("Be brief.", "guy", "Harbour")


def test_guidelines_that_somebody_else_changed_are_not_overwritten(admin: Visitor, collection: int) -> None:
    mark = seen(admin, collection)
    admin.call("PATCH", f"/collections/{collection}", json={"guidelines": "Be brief."})
    fields = {"guidelines": "Be long.", "avoid": "", "seen": mark}
    answer = admin.submit(f"/collections/{collection}/guidelines", fields)
    assert answer.status_code == 409
    assert "somebody changed the guidelines of &#39;Harbour&#39;" in answer.text
    assert "Be brief." in page(admin, collection)


@pytest.mark.parametrize(
    "fields",
    [
        {"guidelines": "x" * (GUIDELINES_LENGTH + 1)},
        {"avoid": "x" * (WORD_LENGTH + 1)},
        {"avoid": "\n".join(map(str, range(MOST_WORDS + 1)))},
    ],
)
def test_too_much_is_refused(admin: Visitor, collection: int, fields: dict[str, str]) -> None:
    assert admin.call("PATCH", f"/collections/{collection}", json=fields).status_code == 422
    fields = {"guidelines": "", "avoid": "", "seen": seen(admin, collection), **fields}
    assert admin.submit(f"/collections/{collection}/guidelines", fields).status_code == 422


def test_guidelines_are_text_and_never_markup(admin: Visitor, collection: int, item: int) -> None:
    text = '"><script>alert(1)</script>'
    admin.call("PATCH", f"/collections/{collection}", json={"guidelines": text, "avoid": text})
    for address in (f"/collections/{collection}/guidelines", f"/collections/{collection}", f"/items/{item}"):
        assert "<script>alert" not in admin.get(address).text
