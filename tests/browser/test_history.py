"""The history beside a photo: the way back to every text, with a mouse and without."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from catalog import captions, collections, item_lists
from catalog.schema import CaptionState, Collection
from tests.serving import Server

FIRST, SECOND = "A boat in the harbour.", "A red boat in the harbour."


@pytest.fixture
def item(page: Page, server: Server, photo: Callable[..., Path], tmp_path: Path) -> str:
    """The address of a photo whose caption somebody wrote, and then changed."""
    with server.database.writing() as session:
        collection_id = collections.create(session, name=tmp_path.name, owner=None).id
    page.goto(f"/collections/{collection_id}")
    page.get_by_label("choose files").set_input_files([photo(tmp_path / "one.jpg")])
    expect(page.locator(".tile")).to_have_count(1)
    with server.database.writing() as session:
        item = item_lists.page(session, session.get_one(Collection, collection_id)).items[0].item
        caption = captions.write(session, item, text=FIRST, user=None, state=CaptionState.CANDIDATE)
        captions.revise(session, caption, version=1, user=None, text=SECOND, state=CaptionState.ACCEPTED)
        return f"/items/{item.id}"


def test_the_last_change_is_undone_and_done_again(page: Page, item: str) -> None:
    page.goto(item)
    box = page.locator("form.caption textarea").first
    expect(box).to_have_value(SECOND)
    page.get_by_role("button", name="Undo back to").focus()
    page.keyboard.press("Enter")
    expect(box).to_have_value(FIRST)
    expect(page.locator("form.caption .state-pending").first).to_be_visible()
    expect(page.locator(".history")).to_contain_text("ada took back its last change")
    page.get_by_role("button", name="Undo back to").click()
    expect(box).to_have_value(SECOND)


def test_an_older_text_is_restored(page: Page, item: str) -> None:
    page.goto(item)
    page.get_by_role("button", name=f"Restore “{FIRST}”").click()
    expect(page.locator("form.caption textarea").first).to_have_value(FIRST)
    expect(page.locator(".history")).to_contain_text("ada restored it")
    expect(page.get_by_role("button", name=f"Restore “{SECOND}”")).to_be_visible()


def test_what_is_being_typed_is_not_lost_to_a_restore(page: Page, item: str) -> None:
    page.goto(item)
    box = page.locator("form.caption textarea").first
    box.fill("A wet boat")
    page.get_by_role("button", name=f"Restore “{FIRST}”").click()
    expect(box).to_have_value(FIRST)
    expect(page.get_by_text("The text is in the box, for you had typed there.")).to_be_visible()
    box.press("Control+z")
    expect(box).to_have_value("A wet boat")


def test_a_restore_of_a_stale_page_is_refused_in_words(
    new_page: Callable[..., Page], item: str, complaints: list[str]
) -> None:
    one, other = new_page(), new_page()
    for page in (one, other):
        page.goto(item)
    one.get_by_role("button", name=f"Restore “{FIRST}”").click()
    expect(one.locator("form.caption textarea").first).to_have_value(FIRST)
    other.get_by_role("button", name="Undo back to").click()
    expect(other.get_by_role("alert").filter(has_text="changed by somebody else")).to_be_visible()
    assert [complaint[:3] for complaint in complaints] == ["409"]
    complaints.clear()
