"""The main loop in a real browser: upload, caption, correct, accept, look back, export."""

import base64
import json
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, Route, expect

DROP = """(form, data) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], "dropped.jpg", { type: "image/jpeg" }));
  form.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
}"""
CAPTIONED_WITHIN = 120_000  # milliseconds; the first job loads the network


def new_collection(page: Page, name: str) -> None:
    page.goto("/")
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Create collection").click()
    expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()
    page.wait_for_load_state()  # the heading stands before the scripts listen


def upload(page: Page, files: list[Path]) -> None:
    page.get_by_label("choose files").set_input_files(files)


def test_photos_become_reviewed_and_exported_captions(
    page: Page, photo: Callable[..., Path], tmp_path: Path
) -> None:
    new_collection(page, "Walk")
    files = [photo(tmp_path / f"{name}.jpg", seed) for seed, name in enumerate(("one", "two", "three"))]
    (tmp_path / "words.jpg").write_text("These are words, not a photo.")
    upload(page, [*files, tmp_path / "words.jpg"])
    expect(page.get_by_role("status")).to_contain_text("3 of 4 files are in the collection")
    expect(page.get_by_role("row", name="words.jpg")).to_be_visible()
    page.get_by_role("link", name="Show the photos").click()
    expect(page.locator(".tile")).to_have_count(3)

    page.get_by_text("Write captions…", exact=True).click()
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("heading", name="Captions for Walk")).to_be_visible()
    review = page.get_by_role("link", name="Review the captions")
    review.wait_for(timeout=CAPTIONED_WITHIN)
    expect(page.locator("[data-job=done]")).to_have_text("3")

    review.click()
    box = page.get_by_label("Caption", exact=True)
    written = box.input_value()
    assert written
    expect(page.locator(".caption .origin-ai").first).to_have_text("AI")
    box.fill("A red kite above the harbour.")
    first = page.url
    page.keyboard.press("Control+Enter")
    page.wait_for_url(lambda url: url != first)
    expect(page.get_by_label("Caption", exact=True)).to_be_focused()
    second = page.url
    page.keyboard.press("Control+Enter")
    page.wait_for_url(lambda url: url != second)

    page.goto(first)
    expect(page.get_by_text("Person · edited")).to_be_visible()
    expect(page.get_by_text("The model wrote:")).to_contain_text(written)
    expect(page.get_by_text("ada edited and accepted it")).to_be_visible()

    page.get_by_role("link", name="Walk").click()
    page.get_by_text("Export", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("link", name="JSONL").click()
    rows = [json.loads(line) for line in download.value.path().read_text(encoding="utf-8").splitlines()]
    assert [row["path"] for row in rows] == ["one.jpg", "two.jpg", "three.jpg"]
    assert rows[0]["captions"][0]["text"] == "A red kite above the harbour."
    assert [row["state"] for row in rows] == ["accepted", "accepted", "pending"]


def test_many_files_travel_in_small_requests(page: Page, photo: Callable[..., Path], tmp_path: Path) -> None:
    new_collection(page, "Many")
    sizes: list[int] = []
    page.on("request", lambda request: "uploads" in request.url and sizes.append(1))
    upload(page, [photo(tmp_path / f"{number:02}.jpg", number, (32, 32)) for number in range(40)])
    expect(page.locator(".tile")).to_have_count(40)
    assert len(sizes) == 3


def test_files_chosen_before_the_script_runs_are_uploaded(
    page: Page, photo: Callable[..., Path], tmp_path: Path
) -> None:
    new_collection(page, "Quick")
    waiting: list[Route] = []
    page.route("**/upload.js", lambda route: waiting.append(route))
    with page.expect_request("**/upload.js"):
        page.reload(wait_until="commit")
    upload(page, [photo(tmp_path / "quick.jpg")])
    waiting[0].continue_()
    expect(page.locator(".tile")).to_have_count(1)


def test_dropped_photos_are_uploaded(page: Page, photo: Callable[..., Path], tmp_path: Path) -> None:
    new_collection(page, "Dropped")
    data = base64.b64encode(photo(tmp_path / "dropped.jpg").read_bytes()).decode()
    page.locator("form[data-upload]").evaluate(DROP, data)
    expect(page.locator(".tile")).to_have_count(1)


def test_a_collection_is_drawn_page_by_page(page: Page, photo: Callable[..., Path], tmp_path: Path) -> None:
    new_collection(page, "Pages")
    upload(page, [photo(tmp_path / f"{number:02}.jpg", number, (16, 16)) for number in range(65)])
    expect(page.locator(".tile")).to_have_count(60)
    page.get_by_role("link", name="Load more").click()
    expect(page.locator(".tile")).to_have_count(65)
    expect(page.get_by_role("link", name="Load more")).to_have_count(0)


def test_a_refused_form_stays_where_it_is_and_says_why(page: Page, complaints: list[str]) -> None:
    new_collection(page, "Taken")
    page.goto("/")
    page.get_by_label("Name").fill("Taken")
    page.get_by_role("button", name="Create collection").click()
    expect(page.get_by_role("alert")).to_contain_text("choose another name")
    expect(page.get_by_label("Name")).to_have_value("Taken")
    assert [complaint[:3] for complaint in complaints] == ["409"]
    complaints.clear()
