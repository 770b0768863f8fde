"""Blind captioning in a real browser: photo after photo without a mouse, and no text lost on the way."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect
from sqlalchemy import select

from catalog import golden_sets
from catalog.schema import Caption, Collection, GoldenReference, Item, Origin, User
from tests.serving import Server

PHOTOS = 3
SEEDS = count(80_000)  # a photo is golden once
MODEL_TEXT = "A brown dog runs across a field."

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def golden_set(page: Page, server: Server, photo: Callable[..., Path], tmp_path: Path) -> int:
    """The id of a golden set of three photos that the model has captioned."""
    page.goto("/")
    page.get_by_label("Name").fill(tmp_path.name)
    page.get_by_role("button", name="Create collection").click()
    files = [photo(tmp_path / f"{number}.jpg", next(SEEDS), (600, 400)) for number in range(PHOTOS)]
    page.get_by_label("choose files").set_input_files(files)
    expect(page.locator(".tile")).to_have_count(PHOTOS)
    with server.database.writing() as session:
        collection = session.get_one(Collection, int(page.url.rpartition("/")[2].partition("?")[0]))
        for item_id in session.scalars(select(Item.id).where(Item.collection_id == collection.id)):
            session.add(Caption(item_id=item_id, text=MODEL_TEXT, origin=Origin.MODEL))
        user = session.scalars(select(User)).first()
        return golden_sets.draw(session, collection, name=tmp_path.name, size=PHOTOS, user=user).id


def written(server: Server, golden_set: int) -> list[str]:
    with server.database.reading() as session:
        of_set = select(GoldenReference.text).where(GoldenReference.golden_set_id == golden_set)
        return list(session.scalars(of_set.order_by(GoldenReference.id)))


def shown(page: Page) -> str | None:
    return page.locator("[data-photo]").get_attribute("src")


def test_a_set_is_captioned_and_frozen_by_keyboard_alone(page: Page, server: Server, golden_set: int) -> None:
    page.goto(f"/golden-sets/{golden_set}")
    page.get_by_role("link", name="Write captions").press("Enter")
    box = page.get_by_label("Your caption")
    expect(box).to_be_focused()
    skipped = shown(page)
    page.keyboard.press("Escape")
    page.keyboard.press("Space")
    expect(page.locator("[data-photo]")).not_to_have_attribute("src", skipped or "")
    for number in range(PHOTOS):
        expect(page.get_by_text(f"{number} of {PHOTOS} captions written")).to_be_visible()
        expect(box).to_be_focused()
        assert "brown dog" not in page.content()
        page.keyboard.type(f"Caption {number} of mine.")
        page.keyboard.press("Control+Enter")
    expect(page.get_by_text(f"{PHOTOS} of {PHOTOS} captions are written.")).to_be_visible()
    assert written(server, golden_set) == [f"Caption {number} of mine." for number in range(PHOTOS)]
    page.get_by_role("button", name="Freeze the golden set").press("Enter")
    expect(page.get_by_text(f"{PHOTOS} captions of {PHOTOS} photos")).to_be_visible()
    expect(page.locator(".frozen").first).to_contain_text("of mine.")


def test_a_text_outlives_a_reload_and_a_server_that_is_away(
    page: Page, server: Server, golden_set: int, complaints: list[str]
) -> None:
    server_is_away = False

    def answer(route: Route) -> None:
        if server_is_away and route.request.method == "POST":
            route.abort()
        else:
            route.continue_()

    # Before the page is there: one that is open already may send a request past a route that is new.
    page.route(f"**/golden-sets/{golden_set}/write", answer)
    page.goto(f"/golden-sets/{golden_set}/write")
    box = page.get_by_label("Your caption")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text("The caption is empty")
    page.keyboard.type("Two boats lie in the harbour.")
    page.reload()
    expect(box).to_have_value("Two boats lie in the harbour.")
    expect(page.get_by_text("draft of this browser")).to_be_visible()
    server_is_away = True
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
    server_is_away = False
    before = shown(page)
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-photo]")).not_to_have_attribute("src", before or "")
    expect(box).to_have_value("")
    assert written(server, golden_set) == ["Two boats lie in the harbour."]
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('recaption.blind'))") == []
    complaints.clear()


def test_a_photo_that_does_not_load_is_told_and_loaded_again(
    page: Page, golden_set: int, complaints: list[str]
) -> None:
    lost = []

    def lose_first(route: Route) -> None:
        if lost:
            route.continue_()
        else:
            lost.append(route.request.url)
            route.abort()

    page.route("**/items/*/picture*", lose_first)
    page.goto(f"/golden-sets/{golden_set}/write")
    expect(page.get_by_role("alert")).to_contain_text("The photo did not load.")
    page.get_by_role("button", name="Load it again").click()
    expect(page.get_by_text("The photo did not load.")).to_be_hidden()
    complaints.clear()


def test_the_review_page_sends_whoever_is_to_be_blind_to_the_blind_page(page: Page, golden_set: int) -> None:
    page.goto(f"/golden-sets/{golden_set}/write")
    item = (shown(page) or "").removesuffix("/picture")
    page.goto(item)
    expect(page.get_by_role("note")).to_contain_text("you have not captioned it yet")
    assert "brown dog" not in page.content()
    page.get_by_role("link", name="Caption the set blind").click()
    page.wait_for_url(f"**/golden-sets/{golden_set}/write")
