"""Bulk operations in the browser: a spot check by keyboard, accepting all, finding and replacing, undoing."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from catalog import captions
from catalog.schema import Caption, CaptionState, Item, Origin
from tests.serving import Server

PHONE = {"width": 360, "height": 740}
COUNT = 4


@pytest.fixture
def collection(page: Page, server: Server, photo: Callable[..., Path], tmp_path: Path) -> str:
    """The address of a collection of four photos whose captions wait."""
    page.goto("/")
    page.get_by_label("Name").fill(f"Bulk of {tmp_path.name}")
    page.get_by_role("button", name="Create collection").click()
    paths = [
        photo(tmp_path / f"{number}.jpg", hash(tmp_path.name) % 1000 + number) for number in range(COUNT)
    ]
    page.get_by_label("choose files").set_input_files(paths)
    page.wait_for_url("**/collections/*")
    expect(page.locator(".tile")).to_have_count(COUNT)
    number = int(page.url.rpartition("/")[2])
    with server.database.writing() as session:
        ids = session.scalars(select(Item.id).where(Item.collection_id == number).order_by(Item.id)).all()
        session.add_all(
            Caption(item_id=one, text=f"A dog by boat {place}.", origin=Origin.MODEL)
            for place, one in enumerate(ids)
        )
        session.flush()
        captions.refresh_review_state(session, ids)
    return page.url


def test_all_are_accepted_by_keyboard_after_a_spot_check_and_taken_back(
    page: Page, server: Server, collection: str
) -> None:
    page.goto(collection)
    page.get_by_label("More").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Bulk operations")).to_be_visible()
    page.get_by_role("link", name="Bulk operations").focus()
    page.keyboard.press("Enter")
    expect(page.locator("[data-selected]")).to_have_text("4")
    page.get_by_role("button", name="Check 4 captions").focus()
    page.keyboard.press("Enter")
    for place, key in enumerate(("y", "n", "ArrowRight", "y")):
        expect(page.get_by_text(f"Caption {place + 1} of 4")).to_be_visible()
        page.wait_for_load_state()  # the caption stands before the script listens
        if key == "n":
            wrong = page.locator("blockquote").inner_text()
        page.keyboard.press(key)
    expect(page.locator(".spot-result")).to_contain_text("1 of 4 was wrong: 25 %")
    page.wait_for_load_state()
    page.keyboard.press("Backspace")
    expect(page.get_by_text("Caption 4 of 4")).to_be_visible()
    page.wait_for_load_state()
    page.keyboard.press("y")
    expect(page.get_by_role("button", name="Finish the check")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".for-accept")).to_contain_text("1 of 4 was wrong")
    page.get_by_role("button", name="Start").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/operations")
    expect(page.get_by_text("3 of 4 captions changed, 1 left as it was.")).to_be_visible()
    assert waiting(server, collection) == [wrong]
    page.get_by_role("link", name="Undo…").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Undo it").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("3 of 3 captions changed.")).to_be_visible()
    expect(page.get_by_text("Undone by operation")).to_be_visible()
    assert len(waiting(server, collection)) == COUNT


def test_words_are_replaced_after_a_preview(
    page: Page, server: Server, collection: str, complaints: list[str]
) -> None:
    page.goto(f"{collection}/bulk")
    page.get_by_label("Find and replace").check()
    expect(page.get_by_role("button", name="Check 4 captions")).to_be_hidden()
    page.get_by_label("Find", exact=True).fill("(dog")
    page.get_by_label("Regular expression").check()
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("alert")).to_contain_text("missing ) at character 5")
    assert [complaint[:3] for complaint in complaints] == ["422"]
    complaints.clear()
    page.get_by_label("Find", exact=True).fill("(dog) by")
    page.get_by_label("Replace by").fill(r"\1 near")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Preview")).to_be_focused()
    expect(page.locator("[data-preview]")).to_contain_text("4 of 4 captions would change")
    expect(page.locator("[data-preview] ins").first).to_have_text("near")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text("4 of 4 captions changed.")).to_be_visible()
    assert waiting(server, collection) == [f"A dog near boat {place}." for place in range(COUNT)]


def test_bulk_pages_fit_a_phone_in_the_dark(new_page: Callable[..., Page], collection: str) -> None:
    phone = new_page(viewport=PHONE, color_scheme="dark")
    phone.goto(f"{collection}/bulk?operation=replace&find=dog&put={'cat' * 60}&preview=y")
    pages = [phone.url, f"{collection}/bulk", f"{collection}/operations"]
    phone.get_by_role("button", name="Start").click()
    phone.wait_for_url("**/operations")
    phone.goto(f"{collection}/bulk")
    phone.get_by_role("button", name="Check 4 captions").click()
    phone.wait_for_url("**/spot-checks/*")
    for address in (*pages, phone.url):
        phone.goto(address)
        assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], address


def waiting(server: Server, collection: str) -> list[str]:
    number = int(collection.rpartition("/")[2])
    query = select(Caption.text).join(Item, Item.id == Caption.item_id).where(Item.collection_id == number)
    with server.database.reading() as session:
        waits = query.where(Caption.state == CaptionState.CANDIDATE).order_by(Caption.id)
        return list(session.scalars(waits))
