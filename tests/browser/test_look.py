"""How pages stand in the window: on a phone, in the dark, without a mouse."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

PHONE = {"width": 360, "height": 740}
LONG = "A-very-long-name-without-any-blank-that-a-scanner-gave-to-this-box-of-photos-in-the-attic"


@pytest.fixture
def addresses(page: Page, photo: Callable[..., Path], tmp_path: Path) -> list[str]:
    """Every page, with a long name and a long caption on those that show any."""
    page.goto("/")
    page.get_by_label("Name").fill(f"{LONG}-{tmp_path.name}")
    page.get_by_role("button", name="Create collection").click()
    page.get_by_label("choose files").set_input_files([photo(tmp_path / f"{LONG}.jpg")])
    expect(page.locator(".tile")).to_have_count(1)
    collection = page.url
    page.locator(".tile a").click()
    page.wait_for_url("**/items/*")
    item = page.url.split("?")[0]
    page.get_by_label("New caption").fill(f"{LONG} {LONG}")
    with page.expect_response(lambda answer: answer.request.method == "POST" and answer.status == 201):
        page.get_by_role("button", name="Save to review").click()
    page.goto(collection)
    page.get_by_text("Write captions…", exact=True).click()
    page.get_by_role("button", name="Start").click()
    page.wait_for_url("**/jobs/*")
    overview = ["/", "/datasets", "/jobs", "/checkpoints", "/people", "/tokens", "/nowhere"]
    parts = [
        f"{collection}/{part}"
        for part in ("members", "guidelines", "progress", "delete", "freeze", "golden-sets")
    ]
    return [collection, *parts, item, page.url, *overview]


def test_no_page_scrolls_sideways_on_a_phone(
    new_page: Callable[..., Page], addresses: list[str], complaints: list[str]
) -> None:
    phone = new_page(viewport=PHONE)
    for address in addresses:
        phone.goto(address)
        assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], address
    assert [complaint[:3] for complaint in complaints] == ["404"]
    complaints.clear()


def test_the_dark_follows_the_system(new_page: Callable[..., Page]) -> None:
    dark = new_page(color_scheme="dark")
    dark.goto("/")
    assert _brightness(dark) < 64
    dark.emulate_media(color_scheme="light")
    expect(dark.locator("html")).to_have_attribute("data-bs-theme", "light")
    assert _brightness(dark) > 192


def test_the_first_key_leads_to_the_content(page: Page) -> None:
    page.goto("/jobs")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()


def _brightness(page: Page) -> float:
    channels = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    return float(sum(channels[:3]) / 3)
