"""Near-duplicates in the browser: kept and skipped with the keyboard, on every width."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

PHONE = {"width": 360, "height": 740}


@pytest.fixture
def collection(page: Page, photo: Callable[..., Path], tmp_path: Path) -> str:
    """The address of a collection with two groups, each of a photo and its smaller copy."""
    paths = [photo(tmp_path / f"{name}.jpg", seed, (480, 320)) for seed, name in enumerate(("boats", "mill"))]
    for path in list(paths):
        paths.append(path.with_name(f"{path.stem}-small.jpg"))
        with Image.open(path) as picture:
            picture.resize((240, 160)).save(paths[-1], quality=60)
    page.goto("/")
    page.get_by_label("Name").fill(f"Twins of {tmp_path.name}")
    page.get_by_role("button", name="Create collection").click()
    page.get_by_label("choose files").set_input_files(paths)
    expect(page.locator(".tile")).to_have_count(4)
    return page.url


def test_groups_are_kept_and_skipped_without_a_mouse(page: Page, collection: str) -> None:
    page.goto(collection)
    page.get_by_label("More").click()
    page.get_by_role("link", name="Near-duplicates").click()
    groups = page.locator("[data-group]")
    expect(groups).to_have_count(2)
    page.wait_for_load_state("networkidle")  # until then no script may listen to the button
    groups.first.get_by_role("button", name="Keep all").focus()
    page.keyboard.press("Enter")
    expect(groups).to_have_count(1)
    expect(page.get_by_role("button", name="Keep all")).to_be_focused()
    expect(page.locator("[data-status]")).to_have_text("2 photos are kept")
    expect(page.get_by_text("1 group of photos that look alike.")).to_be_visible()
    page.keyboard.press("Tab")  # the first photo
    page.keyboard.press("Tab")
    expect(
        page.get_by_role("button", name="Skip boats.jpg").or_(
            page.get_by_role("button", name="Skip mill.jpg")
        )
    ).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="No near-duplicates")).to_be_visible()
    page.goto(collection)
    expect(page.locator(".tile")).to_have_count(3)


def test_a_photo_with_words_of_people_asks_to_be_confirmed(page: Page, collection: str) -> None:
    page.goto(collection)
    page.locator(".tile a").first.click()
    page.wait_for_load_state("networkidle")  # until then no script may listen to the button
    page.get_by_label("New caption").fill("Boats in the harbour.")
    with page.expect_response(lambda answer: answer.request.method == "POST" and answer.status == 201):
        page.get_by_role("button", name="Save to review").click()
    page.goto(f"{collection}/duplicates")
    twin = page.locator("[data-twin]", has_text="Boats in the harbour.")
    twin.get_by_role("button", name="Skip").click()
    expect(page.locator("[data-twin]")).to_have_count(4)
    twin.get_by_label("Delete what people wrote and decided too").check()
    twin.get_by_role("button", name="Skip").click()
    expect(page.locator("[data-twin]")).to_have_count(2)


def test_without_its_script_the_page_does_the_same(page: Page, collection: str) -> None:
    page.route("**/duplicates.js*", lambda route: route.fulfill(body="", content_type="text/javascript"))
    page.goto(f"{collection}/duplicates")
    page.get_by_role("button", name="Keep all").first.click()
    expect(page.locator("[data-group]")).to_have_count(1)
    page.get_by_role("button", name="Skip").first.click()
    expect(page.get_by_role("heading", name="No near-duplicates")).to_be_visible()


def test_groups_fit_a_phone(new_page: Callable[..., Page], collection: str) -> None:
    phone = new_page(viewport=PHONE, color_scheme="dark")
    phone.goto(f"{collection}/duplicates")
    expect(phone.locator("[data-twin]")).to_have_count(4)
    assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
