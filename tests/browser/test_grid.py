"""The grid: a hundred thousand photos in one page, moved through, ticked and corrected without a mouse."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select, text

from catalog import captions, collections
from catalog.schema import Caption, CaptionState, Item, Origin, ReviewState
from tests.serving import Server

HUGE = 100_000
MOST_IN_DOM = 500
SEED = """
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count)
INSERT INTO items (collection_id, image_id, path, metadata, position, flagged, review_state, created_at,
                   training_prohibited, twins_kept, doubt, shuffle)
SELECT :collection, :image, printf('%06d.jpg', n), '{}', n, n % 10 = 0, 'pending', '2026-01-01 00:00:00',
       0, 0, 0, (n * 7919) % 100003 FROM numbers
"""
SAID = """
INSERT INTO captions (item_id, text, language, kind, state, origin, version, created_at, updated_at)
SELECT id, 'Boat number ' || position || '.', 'en', 'caption', 'candidate', 'model', 1, created_at, created_at
FROM items WHERE collection_id = :collection
"""

NewGrid = Callable[[int], str]


@pytest.fixture
def new_grid(page: Page, server: Server, photo: Callable[..., Path], tmp_path: Path) -> NewGrid:
    """A function that makes a collection of so many photos, all of one picture, and returns its address."""
    first = _one_picture(page, server, photo, tmp_path)

    def make(count: int) -> str:
        with server.database.writing() as session:
            collection_id = collections.create(session, name=f"{tmp_path.name}-{count}", owner=None).id
            image_id = session.get_one(Item, first).image_id
            values = {"collection": collection_id, "image": image_id, "count": count}
            session.execute(text(SEED), values)
            session.execute(text(SAID), {"collection": collection_id})
        return f"/collections/{collection_id}"

    return make


def _one_picture(page: Page, server: Server, photo: Callable[..., Path], tmp_path: Path) -> int:
    with server.database.writing() as session:
        collection_id = collections.create(session, name=f"{tmp_path.name}-one", owner=None).id
    page.goto(f"/collections/{collection_id}")
    page.get_by_label("choose files").set_input_files([photo(tmp_path / "one.jpg", 5)])
    expect(page.locator(".tile")).to_have_count(1)
    with server.database.reading() as session:
        return session.scalars(select(Item.id).where(Item.collection_id == collection_id)).one()


def ready(page: Page) -> None:
    expect(page.get_by_role("grid", name="Photos")).to_be_visible()


def focused(page: Page) -> str:
    """The file name of the photo whose tile has the focus."""
    return str(page.evaluate("document.activeElement.dataset.path"))


def of_number(server: Server, address: str, number: int) -> tuple[int, int]:
    """The ids of the photo with this number and of its caption."""
    with server.database.reading() as session:
        collection_id = int(address.split("/")[-1])
        found = select(Item.id, Caption.id).join(Caption, Caption.item_id == Item.id)
        row = session.execute(found.where(Item.collection_id == collection_id, Item.position == number)).one()
        return row[0], row[1]


def test_a_hundred_thousand_photos_are_one_page(page: Page, new_grid: NewGrid) -> None:
    address = new_grid(HUGE)
    begun = time.monotonic()
    page.goto(address)
    ready(page)
    seen = time.monotonic()
    ids = page.request.get(f"/api/v1{address}/item-ids?order=random")
    assert ids.json()["total"] == HUGE
    asked = time.monotonic() - seen
    print(f"grid of {HUGE} after {seen - begun:.2f} s; ids at random {asked:.2f} s, {len(ids.body())} bytes")
    height = page.evaluate("document.getElementById('grid').offsetHeight")
    columns, row = page.evaluate(
        "[+document.getElementById('grid').ariaColCount,"
        " document.querySelectorAll('#grid > ul')[1].getBoundingClientRect().y"
        " - document.querySelector('#grid > ul').getBoundingClientRect().y]"
    )
    assert height == pytest.approx(-(-HUGE // columns) * row, abs=2)
    for share in (0.5, 0.25, 1):
        page.evaluate("(share) => scrollTo(0, share * document.documentElement.scrollHeight)", share)
        expect(page.locator(".tile img").last).to_be_visible()
        expect(page.locator("[data-waiting]")).to_have_count(0)
        assert 0 < page.locator(".tile").count() < MOST_IN_DOM
    last = page.locator(".tile").last
    expect(last).to_have_attribute("data-path", f"{HUGE:06}.jpg")
    expect(last).to_be_in_viewport()
    expect(last).to_contain_text(f"Boat number {HUGE}.")
    assert page.evaluate("document.querySelector('.tile:last-child img').complete")


def test_keys_move_to_both_ends_and_back_from_review_is_the_same_place(page: Page, new_grid: NewGrid) -> None:
    page.goto(f"{new_grid(3000)}?order=name")
    ready(page)
    page.locator(".tile").first.focus()
    columns = int(page.get_by_role("grid").get_attribute("aria-colcount") or 0)
    page.keyboard.press("ArrowRight")
    assert focused(page) == "000002.jpg"
    page.keyboard.press("ArrowDown")
    assert focused(page) == f"{2 + columns:06}.jpg"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    assert focused(page) == "000001.jpg"
    page.keyboard.press("End")
    expect(page.locator(":focus")).to_have_attribute("data-path", "003000.jpg")
    expect(page.locator(":focus")).to_be_in_viewport(ratio=0.9)
    page.keyboard.press("PageUp")
    page.keyboard.press("PageUp")
    expect(page.locator(":focus")).to_be_in_viewport(ratio=0.9)
    expect(page.locator(":focus a")).to_be_visible()
    place = focused(page)
    top = page.evaluate("document.activeElement.getBoundingClientRect().y")
    page.keyboard.press("Enter")
    page.wait_for_url("**/items/*order=name*")
    page.go_back()
    expect(page.locator(":focus")).to_have_attribute("data-path", place)
    assert page.evaluate("document.activeElement.getBoundingClientRect().y") == pytest.approx(top, abs=3)
    page.keyboard.press("Enter")
    page.wait_for_url("**/items/*order=name*")
    page.get_by_role("navigation", name="Where you are").get_by_role("link").last.click()
    expect(page.locator(":focus")).to_have_attribute("data-path", place)
    expect(page.locator(":focus")).to_be_in_viewport(ratio=0.9)
    page.keyboard.press("Home")
    assert focused(page) == "000001.jpg"
    expect(page.locator(":focus")).to_be_in_viewport()


def test_an_address_leads_to_one_photo_among_many(page: Page, server: Server, new_grid: NewGrid) -> None:
    address = new_grid(3000)
    item_id, _ = of_number(server, address, 2345)
    page.goto(f"{address}#item-{item_id}")
    expect(page.locator(":focus")).to_have_attribute("data-path", "002345.jpg")
    expect(page.locator(":focus")).to_be_in_viewport()


def test_photos_are_ticked_one_by_one_in_runs_and_all_at_once(
    page: Page, server: Server, new_grid: NewGrid
) -> None:
    address = new_grid(3000)
    page.goto(f"{address}?flagged=no")
    ready(page)
    page.locator(".tile").first.focus()
    page.keyboard.press("Space")
    expect(page.get_by_role("status").filter(has_text="1 selected")).to_be_attached()
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    expect(page.locator(".tile[aria-selected=true]")).to_have_count(5)
    bar = page.get_by_role("region", name="Selected photos")
    expect(bar).to_contain_text("5 selected")
    ids = ",".join(str(of_number(server, address, number)[0]) for number in range(1, 6))
    expect(bar.get_by_role("link", name="Change captions")).to_have_attribute(
        "href", f"{address}/bulk?ids={ids}"
    )
    page.get_by_role("checkbox", name="Select 000008.jpg").click(modifiers=["Shift"])
    expect(bar).to_contain_text("8 selected")
    page.get_by_role("checkbox", name="Select 000008.jpg").click()
    expect(bar).to_contain_text("7 selected")
    page.reload()
    expect(bar).to_contain_text("7 selected")
    bar.get_by_role("button", name="Select all 2,700").click()
    expect(bar).to_contain_text("All 2,700 selected")
    expect(bar.get_by_role("link", name="Change captions")).to_have_attribute(
        "href", f"{address}/bulk?flagged=no"
    )
    page.keyboard.press("End")
    bar.get_by_role("button", name="Clear").click()
    expect(bar).to_be_hidden()


def test_ticks_stop_where_an_address_ends(page: Page, new_grid: NewGrid) -> None:
    page.goto(new_grid(3000))
    ready(page)
    page.locator(".tile").first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("Shift+End")
    expect(page.get_by_role("status").filter(has_text="Up to 500 photos")).to_be_attached()
    page.get_by_role("link", name="Review them").last.click()
    page.wait_for_url(re.compile(r"/items/\d+\?ids="))


def test_captions_are_corrected_in_their_tiles(page: Page, server: Server, new_grid: NewGrid) -> None:
    address = new_grid(30)
    page.goto(address)
    ready(page)
    page.locator(".tile").first.focus()
    page.keyboard.press("e")
    box = page.get_by_role("textbox", name="Caption of 000001.jpg")
    expect(box).to_have_value("Boat number 1.")
    page.keyboard.press("Control+A")
    page.keyboard.type("A ferry.")
    page.keyboard.press("Control+Enter")
    expect(page.locator(":focus")).to_have_attribute("data-path", "000002.jpg")
    expect(page.locator(".tile").first).to_contain_text("A ferry.")
    expect(page.locator(".tile .state-accepted")).to_have_count(1)
    page.keyboard.press("e")
    page.keyboard.type("nonsense")
    page.keyboard.press("Escape")
    expect(page.locator(":focus")).to_have_attribute("data-path", "000002.jpg")
    with server.database.reading() as session:
        one = session.get_one(Caption, of_number(server, address, 1)[1])
        two = session.get_one(Caption, of_number(server, address, 2)[1])
        assert (one.text, one.state, one.origin) == ("A ferry.", CaptionState.ACCEPTED, Origin.EDITED)
        assert (two.text, two.state, two.version) == ("Boat number 2.", CaptionState.CANDIDATE, 1)


def test_a_photo_without_a_caption_gets_one_in_its_tile(
    page: Page, server: Server, new_grid: NewGrid
) -> None:
    address = new_grid(3)
    item_id, caption_id = of_number(server, address, 1)
    with server.database.writing() as session:
        session.delete(session.get_one(Caption, caption_id))
        session.flush()
        captions.refresh_review_state(session, [item_id])
    page.goto(f"{address}?state=uncaptioned")
    ready(page)
    page.locator(".tile").first.hover()
    page.get_by_role("button", name="Edit the caption of 000001.jpg").click()
    page.keyboard.type("A new boat.")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".tile").first).to_contain_text("A new boat.")
    with server.database.reading() as session:
        assert session.get_one(Item, item_id).review_state is ReviewState.ACCEPTED


def test_a_stale_tile_shows_both_texts_and_loses_neither(
    page: Page, server: Server, new_grid: NewGrid, complaints: list[str]
) -> None:
    address = new_grid(3)
    page.goto(address)
    ready(page)
    page.locator(".tile").first.focus()
    page.keyboard.press("e")
    _, caption_id = of_number(server, address, 1)
    with server.database.writing() as session:
        one = session.get_one(Caption, caption_id)
        captions.revise(session, one, version=1, user=None, text="A tug.")
    page.keyboard.press("Control+A")
    page.keyboard.type("A ferry.")
    page.keyboard.press("Control+Enter")
    conflict = page.locator("[data-conflict]:visible")
    expect(conflict).to_contain_text("A tug.")
    expect(conflict).to_contain_text("A ferry.")
    assert [complaint[:3] for complaint in complaints] == ["409"]
    complaints.clear()
    page.keyboard.press("Control+Enter")
    expect(conflict).to_be_visible()
    conflict.get_by_role("button", name="Save mine instead").click()
    expect(page.locator(".tile-editor")).to_have_count(0)
    expect(page.locator(".tile").first).to_contain_text("A ferry.")
    with server.database.reading() as session:
        assert session.get_one(Caption, caption_id).version == 3


def test_the_filter_is_a_form_whose_address_can_be_shared(page: Page, new_grid: NewGrid) -> None:
    address = new_grid(300)
    page.goto(address)
    page.get_by_label("File name").fill("0001")
    page.get_by_label("Flagged").select_option("yes")
    page.get_by_label("Order", exact=True).select_option("name")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url(f"**{address}?*path=0001*")
    assert page.url.endswith("?order=name&path=0001&flagged=yes")
    expect(page.get_by_text("11 hits")).to_be_visible()
    expect(page.locator(".tile")).to_have_count(11)
    expect(page.get_by_role("link", name="Review them").first).to_have_attribute(
        "href", f"{address}/review?path=0001&flagged=yes&order=name"
    )
    page.get_by_role("list", name="What is asked for").get_by_role("link", name="Flagged").click()
    expect(page.get_by_text("111 hits")).to_be_visible()
    assert page.url.endswith("?path=0001&order=name")


def test_without_scripts_the_form_filters_and_pages_go_on(
    new_page: Callable[..., Page], new_grid: NewGrid
) -> None:
    address = new_grid(130)
    plain = new_page(java_script_enabled=False)
    plain.goto(address)
    expect(plain.locator(".tile")).to_have_count(60)
    plain.get_by_role("link", name="Load more").click()
    expect(plain.locator(".tile").first).to_have_attribute("data-path", "000061.jpg")
    plain.get_by_label("Flagged").select_option("yes")
    plain.get_by_role("button", name="Apply").click()
    expect(plain.locator(".tile")).to_have_count(13)


def test_the_grid_fits_a_phone(new_page: Callable[..., Page], new_grid: NewGrid) -> None:
    phone = new_page(viewport={"width": 360, "height": 740}, color_scheme="dark")
    phone.goto(new_grid(300))
    ready(phone)
    assert phone.get_by_role("grid").get_attribute("aria-colcount") == "2"
    phone.locator(".tile").first.focus()
    phone.keyboard.press("e")
    assert phone.evaluate("document.documentElement.scrollWidth") <= 360
    phone.keyboard.press("Escape")
    phone.keyboard.press("Space")
    assert phone.evaluate("document.documentElement.scrollWidth") <= 360
    phone.set_viewport_size({"width": 1000, "height": 740})
    expect(phone.get_by_role("grid")).not_to_have_attribute("aria-colcount", "2")
    expect(phone.locator(".tile[aria-selected=true]")).to_have_count(1)
