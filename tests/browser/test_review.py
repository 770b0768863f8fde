"""The review page: nothing typed is lost, whatever happens around it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from catalog import captions, collections, item_lists
from catalog.schema import CaptionState, Collection
from tests.serving import Server

COLLECTION = re.compile(r"/collections/\d+")


def _save(page: Page) -> None:
    with page.expect_response("**/api/v1/captions/*"):
        page.get_by_role("button", name="Save", exact=True).click()


@pytest.fixture
def item(page: Page, server: Server, photo: Callable[..., Path], tmp_path: Path) -> str:
    """The address of a photo with one caption that waits for review, in a collection of its own."""
    name = tmp_path.name
    with server.database.writing() as session:
        collection_id = collections.create(session, name=name, owner=None).id
    page.goto(f"/collections/{collection_id}")
    page.get_by_label("choose files").set_input_files([photo(tmp_path / "one.jpg", hash(name) % 1000)])
    expect(page.locator(".tile")).to_have_count(1)
    with server.database.writing() as session:
        listed = item_lists.page(session, session.get_one(Collection, collection_id)).items[0]
        text, state = "A kite above the harbour.", CaptionState.CANDIDATE
        captions.write(session, listed.item, text=text, user=None, state=state)
        return f"/items/{listed.item.id}"


def test_a_stale_edit_shows_both_texts_and_lets_the_person_choose(
    new_page: Callable[..., Page], item: str, complaints: list[str]
) -> None:
    one, other = new_page(), new_page()
    for page in (one, other):
        page.goto(item)
    one.get_by_label("Caption", exact=True).fill("A red kite above the harbour.")
    _save(one)

    other.get_by_label("Caption", exact=True).fill("Two kites above the harbour.")
    other.get_by_role("button", name="Save", exact=True).click()
    conflict = other.locator("[data-conflict]:visible")
    expect(conflict).to_contain_text("A red kite above the harbour.")
    expect(conflict).to_contain_text("Two kites above the harbour.")
    expect(other.get_by_label("Caption", exact=True)).to_have_value("Two kites above the harbour.")
    assert [complaint[:3] for complaint in complaints] == ["409"]
    complaints.clear()

    other.get_by_label("Caption", exact=True).press("Control+Enter")
    expect(conflict).to_be_visible()
    other.get_by_role("button", name="Save mine instead").click()
    expect(other.get_by_role("deletion").first).to_have_text("A red kite above the harbour.")
    expect(other.get_by_label("Caption", exact=True)).to_have_value("Two kites above the harbour.")


def test_theirs_can_be_taken_instead(new_page: Callable[..., Page], item: str, complaints: list[str]) -> None:
    one, other = new_page(), new_page()
    for page in (one, other):
        page.goto(item)
    one.get_by_label("Caption", exact=True).fill("A red kite above the harbour.")
    _save(one)
    other.get_by_label("Caption", exact=True).fill("Two kites above the harbour.")
    other.get_by_role("button", name="Save", exact=True).click()
    other.get_by_role("button", name="Take theirs").click()
    expect(other.get_by_label("Caption", exact=True)).to_have_value("A red kite above the harbour.")
    other.keyboard.press("Control+Enter")
    other.wait_for_url(COLLECTION)
    other.wait_for_load_state("networkidle")
    complaints.clear()


def test_keeping_mine_keeps_the_text_that_was_accepted_unread(
    new_page: Callable[..., Page], item: str, complaints: list[str]
) -> None:
    one, other = new_page(), new_page()
    for page in (one, other):
        page.goto(item)
    one.get_by_label("Caption", exact=True).fill("A red kite above the harbour.")
    _save(one)
    other.get_by_label("Caption", exact=True).press("Control+Enter")
    other.get_by_role("button", name="Save mine instead").click()
    other.wait_for_url(COLLECTION)
    other.goto(item)
    expect(other.get_by_label("Caption", exact=True)).to_have_value("A kite above the harbour.")
    other.wait_for_load_state("networkidle")
    complaints.clear()


def test_a_draft_survives_a_closed_tab(page: Page, item: str) -> None:
    page.goto(item)
    page.get_by_label("Caption", exact=True).fill("Three kites abo")
    expect(page.get_by_text("draft saved")).to_be_visible()
    context = page.context
    page.close(run_before_unload=False)
    again = context.new_page()
    again.goto(item)
    expect(again.get_by_label("Caption", exact=True)).to_have_value("Three kites abo")
    again.get_by_role("button", name="Discard draft").click()
    expect(again.get_by_label("Caption", exact=True)).to_have_value("A kite above the harbour.")


def test_leaving_in_the_middle_of_a_word_loses_nothing(page: Page, item: str) -> None:
    page.goto(item)
    page.get_by_label("Caption", exact=True).fill("Three ki")
    page.get_by_role("link", name="Jobs").click()
    page.wait_for_url("**/jobs")
    page.goto(item)
    expect(page.get_by_label("Caption", exact=True)).to_have_value("Three ki")


def test_an_empty_caption_is_refused_and_the_page_says_so(page: Page, item: str) -> None:
    page.goto(item)
    page.get_by_label("Caption", exact=True).fill("   ")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert").filter(has_text="The caption is empty")).to_be_visible()


def test_rejecting_keeps_the_text_and_says_so(page: Page, item: str) -> None:
    page.goto(item)
    page.wait_for_timeout(300)  # what was shown for less is neither accepted nor rejected
    page.get_by_role("button", name="Reject", exact=False).first.click()
    page.wait_for_url(COLLECTION)
    page.goto(item)
    expect(page.locator(".caption .state-rejected")).to_be_visible()
    expect(page.get_by_label("Caption", exact=True)).to_have_value("A kite above the harbour.")


def test_flags_are_toggled_in_place(page: Page, item: str) -> None:
    page.goto(item)
    flag = page.get_by_role("button", name="Flag")
    flag.click()
    expect(flag).to_have_attribute("aria-pressed", "true")
    page.reload()
    expect(page.get_by_role("button", name="Flag")).to_have_attribute("aria-pressed", "true")


def test_deleting_asks_first(page: Page, item: str, complaints: list[str]) -> None:
    page.goto(item)
    page.get_by_label("More for this photo").click()
    page.get_by_role("button", name="Delete photo").click()
    page.get_by_role("button", name="Keep it").click()
    expect(page.get_by_label("Caption", exact=True)).to_be_visible()
    page.get_by_label("More for this photo").click()
    page.get_by_role("button", name="Delete photo").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete photo").click()
    page.wait_for_url(COLLECTION)
    assert page.request.get(item).status == 404
