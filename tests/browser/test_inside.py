"""Looking inside the model on the review page, with a real worker behind it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import select

from catalog import collections, item_lists
from catalog.schema import Caption, CaptionDetail, Collection
from model.description import log_odds, read_description, starter_folder
from tests.serving import Server

CAPTIONED_WITHIN = 120_000  # milliseconds; the first job loads the network
DOUBTED = 0.1  # the probability of the second word
# How many colours the canvas over the photo has.
COLOURS = """(canvas) => {
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return new Set(new Uint32Array(data.buffer)).size;
}"""


@pytest.fixture
def item(page: Page, server: Server, photo: Callable[..., Path], tmp_path: Path) -> str:
    """The address of a photo that the worker captioned; the network doubts its second and fourth word."""
    with server.database.writing() as session:
        collection_id = collections.create(session, name=tmp_path.name, owner=None).id
    page.goto(f"/collections/{collection_id}")
    image = photo(tmp_path / "one.jpg", hash(tmp_path.name) % 1000, size=(240, 160))
    page.get_by_label("choose files").set_input_files([image])
    expect(page.locator(".tile")).to_have_count(1)
    page.get_by_text("Write captions…", exact=True).click()
    page.get_by_role("button", name="Start").click()
    page.get_by_role("link", name="Review the captions").wait_for(timeout=CAPTIONED_WITHIN)
    expect(page.locator("[data-job=done]")).to_have_text("1")
    with server.database.writing() as session:
        collection = session.get_one(Collection, collection_id)
        item_id = item_lists.page(session, collection).items[0].item.id
        caption = select(Caption.id).where(Caption.item_id == item_id)
        detail = session.get_one(CaptionDetail, session.scalars(caption).one())
        assert len(detail.tokens) >= 5
        detail.token_probabilities = [0.99, DOUBTED, 0.99, 0.2, *[0.99] * (len(detail.tokens) - 4)]
    return f"/items/{item_id}"


def sure_of(probability: float) -> str:
    """What the page says of a word to which the network gave this probability."""
    calibration = read_description(starter_folder()).word_calibration
    assert calibration
    return f"{100 * calibration.confidence(log_odds(probability)):.0f} % sure"


def words_of(page: Page) -> Locator:
    return page.get_by_role("toolbar", name="Words").get_by_role("button")


def box_of(page: Page) -> Locator:
    return page.get_by_label("Caption", exact=True)


def test_words_are_tinted_by_confidence_and_the_doubtful_marked_by_more_than_colour(
    page: Page, item: str
) -> None:
    page.goto(item)
    words = words_of(page)
    expect(words.first).to_be_visible()
    said = box_of(page).input_value().rstrip(".").split()
    assert [word.lower() for word in words.all_inner_texts()] == [word.lower() for word in said]
    background = "(word) => getComputedStyle(word).backgroundColor"
    line = "(word) => getComputedStyle(word).textDecorationLine"
    assert words.nth(0).evaluate(background) != words.nth(1).evaluate(background)
    assert words.nth(1).evaluate(background) != words.nth(3).evaluate(background)
    expect(page.locator(".word.doubtful")).to_have_count(2)
    assert [words.nth(n).evaluate(line) for n in (0, 1, 3)] == ["none", "underline", "underline"]
    expect(words.nth(1)).to_have_accessible_name(f"{said[1]}, {sure_of(DOUBTED)}, doubtful")


def test_only_words_that_are_still_the_networks_are_tinted(page: Page, item: str) -> None:
    page.goto(item)
    words = words_of(page)
    expect(words.first).to_be_visible()
    before = [word.lower() for word in words.all_inner_texts()]
    box_of(page).fill(" ".join(["Zebra", *before[1:], "zebra"]))
    expect(words).to_have_count(len(before) + 1)
    titled = [word.get_attribute("title") is not None for word in words.all()]
    assert titled == [False, *[True] * (len(before) - 1), False]


def test_another_word_arrives_from_the_worker_and_ctrl_z_takes_it_back(page: Page, item: str) -> None:
    page.goto(item)
    words = words_of(page)
    expect(words.first).to_be_visible()
    text = box_of(page).input_value()
    old = words.nth(1).inner_text()
    words.nth(1).focus()
    page.keyboard.press("Enter")
    others = page.locator(".other")
    expect(others).to_have_count(5)
    new = others.nth(1).inner_text().split()[-1]
    expect(page.locator("[data-words-said]")).to_contain_text(f"2 {new}")
    page.keyboard.press("2")
    expect(words.nth(1)).to_have_text(new)
    assert box_of(page).input_value() == text.replace(f" {old} ", f" {new} ", 1)
    expect(words.nth(1)).not_to_have_attribute("title", sure_of(DOUBTED))
    box_of(page).press("Control+z")
    expect(box_of(page)).to_have_value(text)
    expect(words.nth(1)).to_have_accessible_name(f"{old}, {sure_of(DOUBTED)}, doubtful")


def test_escape_closes_the_other_words_and_the_arrows_choose(page: Page, item: str) -> None:
    page.goto(item)
    words = words_of(page)
    words.nth(3).click()
    others = page.locator(".other")
    expect(others).to_have_count(5)
    expect(words.nth(3)).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Escape")
    expect(page.locator("[data-desk]")).to_be_hidden()
    expect(words.nth(3)).to_be_focused()
    page.keyboard.press("Enter")
    expect(others).to_have_count(5)
    for key in ("ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    expect(others.nth(1)).to_be_focused()
    new = others.nth(1).inner_text().split()[-1]
    page.keyboard.press("Enter")
    expect(words.nth(3)).to_have_text(new)


def test_the_rest_is_written_anew_behind_the_chosen_word_as_it_was_edited(page: Page, item: str) -> None:
    page.goto(item)
    words = words_of(page)
    expect(words.first).to_be_visible()
    typed = "Two old sailors beside a boat"
    box_of(page).fill(typed)
    words.nth(2).click()
    page.get_by_role("button", name="Write on from here").click()
    expect(page.locator("[data-words-said]")).to_contain_text("Written on behind")
    written = box_of(page).input_value()
    assert written.startswith("Two old sailors ")
    assert written.endswith(".")
    assert written != typed
    box_of(page).press("Control+z")
    expect(box_of(page)).to_have_value(typed)


def test_an_answer_that_comes_after_the_text_was_changed_is_dropped(page: Page, item: str) -> None:
    told = {"state": "waiting", "waiting_for_a_worker": True, "answer": None}
    page.route("**/api/v1/redecodings/*", lambda route: route.fulfill(json=told))
    page.goto(item)
    words = words_of(page)
    expect(words.first).to_be_visible()
    words.nth(1).click()
    expect(page.locator("[data-words-said]")).to_contain_text("Waiting for a worker")
    box_of(page).fill("A red kite")
    told |= {
        "state": "answered",
        "answer": {"replacements": [{"word": "late", "text": "Late.", "score": -1}]},
    }
    page.wait_for_timeout(1000)
    expect(page.locator(".other")).to_have_count(0)
    expect(box_of(page)).to_have_value("A red kite")


def test_attention_of_a_word_lies_over_the_photo_while_it_is_looked_at(page: Page, item: str) -> None:
    page.goto(item)
    words = words_of(page)
    expect(words.first).to_be_visible()
    expect(page.get_by_text("no explanation of it")).to_be_visible()
    canvas = page.locator("canvas.attention")
    words.nth(1).hover()
    expect(canvas).to_be_visible()
    assert canvas.evaluate(COLOURS) > 20
    photo = page.locator(".photo img").bounding_box()
    laid = canvas.bounding_box()
    assert photo
    assert laid
    assert laid["width"] / laid["height"] == pytest.approx(240 / 160, rel=0.02)
    assert abs(laid["x"] + laid["width"] / 2 - photo["x"] - photo["width"] / 2) < 1
    assert abs(laid["y"] + laid["height"] / 2 - photo["y"] - photo["height"] / 2) < 1
    page.mouse.move(0, 0)
    expect(canvas).to_be_hidden()
    words.nth(2).focus()
    expect(canvas).to_be_visible()
    page.keyboard.press("h")
    expect(canvas).to_be_hidden()
    page.keyboard.press("h")
    expect(canvas).to_be_visible()


def test_keys_step_through_the_doubtful_words_and_arrows_through_all(page: Page, item: str) -> None:
    page.goto(item)
    words = words_of(page)
    expect(words.first).to_be_visible()
    page.keyboard.press("Escape")
    for key, expected in (("]", 1), ("]", 3), ("]", 1), ("[", 3), ("[", 1), ("ArrowRight", 2), ("Home", 0)):
        page.keyboard.press(key)
        expect(words.nth(expected)).to_be_focused()
    assert [word.get_attribute("tabindex") for word in words.all()].count("0") == 1


def test_a_number_takes_an_alternative_and_ctrl_z_gives_the_text_back(page: Page, item: str) -> None:
    page.goto(item)
    expect(words_of(page).first).to_be_visible()
    text, other = (
        box_of(page).input_value(),
        page.locator(".alternative").first.get_attribute("data-alternative"),
    )
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    expect(box_of(page)).to_have_value(str(other))
    box_of(page).press("Control+z")
    expect(box_of(page)).to_have_value(text)
