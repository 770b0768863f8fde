"""Quality checks as one types: what they find, what they leave in peace, and how they are told."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from catalog import captions, collections, guidelines, item_lists
from catalog.schema import CaptionState, Collection
from dashboard.demo import photos_of
from tests.serving import Server

MODEL_CARD = Path(__file__).parents[2] / "docs" / "model-card.md"
FIND = """async ([texts, options]) => {
    const { problemsOf } = await import("/static/checks.js");
    return texts.map((text) => problemsOf(text, options));
}"""
GOOD = [
    ("A dog runs.", {}),
    ("2 dogs run across a field!", {}),
    ("“Stop!” says the sign.", {}),
    ("iPhones lie on a table.", {}),
    ("The dog that that man had had had fleas.", {}),
    ("A man takes a picture of a dog.", {}),
    ("A picture hangs on the wall.", {}),
    ("Bye, bye.", {}),
    ("A dog and a dog.", {}),
    ("Frauen, die die Straße überqueren.", {"language": "de"}),
    ("Une photo de la mer.", {"language": "fr"}),
    ("一隻貓坐在椅子上。", {"language": "zh-Hant"}),
    ("แมวนั่งบนเก้าอี้", {"language": "th"}),
    ("Anak-anak lari lari di pantai.", {"language": "id"}),
    ("कुत्ता धीरे धीरे चलता है।", {"language": "hi"}),
    ("The Cathedral's cat catches a catfish.", {"avoid": ["cat fish", "cathed", "at"]}),
    ("Word one, word two. " * 75, {"kind": "description"}),
]
BAD = [
    ("", {}, "empty", ""),
    (" \n", {}, "empty", " \n"),
    ("a dog runs.", {}, "no capital", "a"),
    ("Ein Hund", {"language": "de"}, "no stop", ""),
    ("A dog runs;", {}, "no stop", ""),
    ("An image of a dog.", {}, "opening", "An image of"),
    ("A close-up photo showing a dog.", {}, "opening", "A close-up photo showing"),
    ("Picture showing a dog.", {"language": "en-GB"}, "opening", "Picture showing"),
    ("This is a black and white photograph of a dog.", {}, "opening", "This is a black and white photograph"),
    ("In this picture a dog runs.", {}, "opening", "In this picture"),
    ("A dog runs in the the grass.", {}, "repeated", "the the"),
    ("A dog in the snow in the snow.", {}, "repeated", "in the snow in the snow"),
    ("Ein Hund Hund läuft.", {"language": "de"}, "repeated", "Hund Hund"),
    ("Very " + "long " + "and dull, " * 14 + "it is.", {}, "too long", None),
    ("x" * 125 + "X.", {"kind": "alt", "language": "de"}, "too long", None),
    ("A Black guy runs.", {"avoid": ["guy", "black  guy"]}, "avoid", "guy"),
    ("The guy's dog.", {"avoid": ["GUY"]}, "avoid", "guy"),
    ("Ein Café am Meer.", {"language": "fr", "avoid": ["cafe\u0301"]}, "avoid", "Café"),
    ("Ein straßenköter läuft.", {"language": "de", "avoid": ["Straßenköter"]}, "avoid", "straßenköter"),
    ("一隻貓坐著。", {"language": "zh", "avoid": ["貓"]}, "avoid", "貓"),
    ("What (sic) is it?", {"avoid": ["(sic)"]}, "avoid", "(sic)"),
]


def problems(
    page: Page, texts: list[str], options: dict[str, Any] | None = None
) -> list[list[dict[str, Any]]]:
    """What the page's own module finds in each text."""
    found: list[list[dict[str, Any]]] = page.evaluate(FIND, [texts, options or {}])
    return found


def test_good_captions_are_left_in_peace(page: Page) -> None:
    page.goto("/")
    assert {text: problems(page, [text], options)[0] for text, options in GOOD} == {
        text: [] for text, _ in GOOD
    }


def test_each_fault_is_found_where_it_is(page: Page) -> None:
    page.goto("/")
    for text, options, rule, where in BAD:
        found = [one for one in problems(page, [text], options)[0] if one["rule"] == rule]
        assert found, (text, rule)
        if where is not None:
            assert text[found[0]["from"] : found[0]["to"]] == where, (text, rule)


def test_the_captions_of_the_starter_have_no_hint(page: Page) -> None:
    card = MODEL_CARD.read_text(encoding="utf-8")
    texts = re.findall(r"^\| `[^`|]+` \| (.+) \|$", card.partition("## Twenty captions")[2], re.MULTILINE)
    assert len(texts) == 20
    page.goto("/")
    assert dict(zip(texts, problems(page, texts), strict=True)) == {text: [] for text in texts}


def test_what_the_starter_writes_for_the_sample_photos_has_no_hint(page: Page, tmp_path: Path) -> None:
    samples = [str(one.source) for one in photos_of(None).files]
    command = [str(Path(sys.executable).with_name("recaption")), "caption", *samples]
    subprocess.run([*command, "--output", str(tmp_path / "said.jsonl")], check=True)
    lines = (tmp_path / "said.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["caption"] for line in lines]
    assert len(texts) == len(samples) > 0
    page.goto("/")
    assert dict(zip(texts, problems(page, texts), strict=True)) == {text: [] for text in texts}


@pytest.fixture
def item(page: Page, server: Server, photo: Callable[..., Path], tmp_path: Path) -> str:
    """The address of a photo with a caption that waits, in a collection that avoids the word kite."""
    with server.database.writing() as session:
        collection = collections.create(session, name=tmp_path.name, owner=None)
        guidelines.write(session, collection, avoid="kite\nred thing")
    page.goto(f"/collections/{collection.id}")
    page.get_by_label("choose files").set_input_files([photo(tmp_path / "one.jpg")])
    expect(page.locator(".tile")).to_have_count(1)
    with server.database.writing() as session:
        listed = item_lists.page(session, session.get_one(Collection, collection.id)).items[0]
        text, state = "A boat in the harbour.", CaptionState.CANDIDATE
        captions.write(session, listed.item, text=text, user=None, state=state)
        return f"/items/{listed.item.id}"


def test_hints_come_and_go_with_what_is_typed(page: Page, item: str) -> None:
    page.goto(item)
    form = page.locator("form.caption").first
    hints = form.locator("[data-checks]")
    expect(hints).to_have_attribute("role", "status")
    expect(hints).to_have_text("")
    box = form.get_by_role("textbox")
    box.fill("a red  thing above the harbour")
    expect(hints.get_by_role("listitem")).to_have_text(
        ["Begin with a capital letter.", "End with a full stop.", "The guidelines avoid “red  thing”."]
    )
    box.fill("A boat above the harbour.")
    expect(hints).to_have_text("")
    box.fill("")
    expect(hints).to_have_text("Nothing is written yet.")


def test_a_hint_is_no_wall(page: Page, item: str) -> None:
    page.goto(item)
    page.locator("form.caption textarea").first.fill("a kite")
    expect(page.locator("[data-checks]").first).to_contain_text("The guidelines avoid “kite”.")
    with page.expect_response(lambda answer: answer.request.method == "PATCH") as accepted:
        page.keyboard.press("Control+Enter")
    assert accepted.value.ok
    page.wait_for_url("**/collections/*")
    page.goto(item)
    expect(page.locator("form.caption textarea").first).to_have_value("a kite")
    expect(page.locator("[data-checks]").first).to_contain_text("End with a full stop.")
