"""The main loop in a real browser: upload, caption, correct, accept, look back, export."""

import base64
import json
import random
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

from playwright.sync_api import Page, Request, Response, Route, expect

from tests.serving import Server

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
    page.wait_for_load_state("networkidle")  # until then no script may listen to keys
    box.fill("A red kite above the harbour.")
    first = page.url
    with page.expect_response(_decision):  # what is cut off is sent again, and answered 409
        page.keyboard.press("Control+Enter")
    page.wait_for_url(lambda url: url != first)
    expect(page.get_by_label("Caption", exact=True)).to_be_focused()
    second = page.url
    page.wait_for_timeout(300)  # what was shown for less is not accepted as it is
    with page.expect_response(_decision):
        page.keyboard.press("Control+Enter")
    page.wait_for_url(lambda url: url != second)

    page.goto(first)
    expect(page.get_by_text("Person · edited")).to_be_visible()
    expect(page.get_by_role("button", name="Take it back")).to_have_attribute("data-alternative", written)
    expect(page.get_by_text("ada edited and accepted it")).to_be_visible()

    page.get_by_role("link", name="Walk").click()
    page.get_by_text("Export", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("link", name="JSONL").click()
    rows = [json.loads(line) for line in download.value.path().read_text(encoding="utf-8").splitlines()]
    assert [row["path"] for row in rows] == ["one.jpg", "two.jpg", "three.jpg"]
    assert rows[0]["captions"][0]["text"] == "A red kite above the harbour."
    assert [row["state"] for row in rows] == ["accepted", "accepted", "pending"]


def _decision(answer: Response) -> bool:
    """Whether the server has answered a decision on a caption."""
    return answer.request.method == "PATCH"


def test_many_files_are_one_import(page: Page, photo: Callable[..., Path], tmp_path: Path) -> None:
    new_collection(page, "Many")
    begun: list[str] = []
    page.on("request", lambda request: request.url.endswith("/imports") and begun.append(request.url))
    upload(page, [photo(tmp_path / f"{number:02}.jpg", number, (32, 32)) for number in range(40)])
    expect(page.get_by_text("40 photos", exact=True)).to_be_visible()  # the grid draws those in sight
    assert len(begun) == 1
    assert page.locator(".tile img").first.get_attribute("alt")


def test_a_large_file_travels_in_pieces_and_outlives_the_server(
    page: Page, server: Server, photo: Callable[..., Path], tmp_path: Path, complaints: list[str]
) -> None:
    new_collection(page, "Large")
    with ZipFile(tmp_path / "large.zip", "w") as archive:
        archive.write(photo(tmp_path / "pier.jpg"), "pier.jpg")
        archive.writestr("noise.bin", random.Random(1).randbytes(20 << 20))
    offsets: list[str] = []

    def seen(request: Request) -> None:
        if request.method == "PATCH":
            offsets.append(request.headers["upload-offset"])
            if len(offsets) == 2:
                server.kill_web_process()

    page.on("request", seen)
    upload(page, [tmp_path / "large.zip"])
    expect(page.get_by_role("status")).to_contain_text("1 of 2 files are in the collection", timeout=90_000)
    expect(page.get_by_role("row", name="noise.bin")).to_contain_text("looks like a file of an unknown kind")
    assert offsets[0] == "0"
    assert offsets.count("0") == 1  # what was there is not sent again
    assert set(offsets) == {"0", str(8 << 20), str(16 << 20)}
    page.get_by_role("link", name="What became of each file").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Import into Large")
    with page.expect_download() as download:
        page.get_by_role("link", name="Report as CSV").click()
    assert "pier.jpg,imported" in download.value.path().read_text(encoding="utf-8")
    complaints.clear()  # the browser says that the server did not answer


def test_a_drop_goes_on_after_the_page_was_closed(
    page: Page, photo: Callable[..., Path], tmp_path: Path
) -> None:
    files = [photo(tmp_path / f"{number}.jpg", number) for number in range(6)]
    sent: list[str] = []

    def let_two_through(route: Route) -> None:
        if route.request.method == "PATCH":
            sent.append(route.request.url)
        if len(sent) <= 2:
            route.continue_()  # the others wait until the page is gone

    page.on("dialog", lambda dialog: dialog.accept())
    page.route("**/api/v1/uploads/*", let_two_through)
    new_collection(page, "Again")
    upload(page, files)
    expect(page.get_by_role("status")).to_contain_text("2 of 6 files uploaded")
    page.reload()
    page.unroute_all(behavior="ignoreErrors")
    before, sent[:] = set(sent[:2]), []
    begun: list[str] = []
    page.on("request", lambda request: request.method == "PATCH" and sent.append(request.url))
    page.on("request", lambda request: request.url.endswith("/imports") and begun.append(request.url))
    page.wait_for_load_state()
    page.evaluate("document.querySelector('.adder').open = true")
    upload(page, files)
    expect(page.locator(".tile")).to_have_count(6)
    assert begun == []  # the same import
    assert not before & set(sent)
    assert len(sent) == 4


def test_a_file_that_cannot_be_sent_keeps_nobody_waiting(
    page: Page, photo: Callable[..., Path], tmp_path: Path, complaints: list[str]
) -> None:
    refused: list[str] = []

    def refuse_one(route: Route) -> None:
        if route.request.method == "PATCH" and not refused:
            refused.append(route.request.url)
            route.fulfill(status=418, content_type="application/problem+json", body='{"detail": "No tea."}')
        else:
            route.continue_()

    page.route("**/api/v1/uploads/*", refuse_one)
    new_collection(page, "Stubborn")
    upload(page, [photo(tmp_path / f"{number}.jpg", number) for number in range(3)])
    expect(page.get_by_role("status")).to_contain_text("2 of 2 files are in the collection")
    expect(page.get_by_role("row", name="No tea.")).to_be_visible()
    complaints.clear()


def test_captions_chosen_beside_photos_come_along(
    page: Page, photo: Callable[..., Path], tmp_path: Path
) -> None:
    new_collection(page, "Captioned")
    (tmp_path / "captions.csv").write_text("path,caption\npier.jpg,Two boats.\n", encoding="utf-8")
    upload(page, [photo(tmp_path / "pier.jpg"), tmp_path / "captions.csv"])
    expect(page.locator(".tile")).to_have_count(1)
    expect(page.locator(".tile")).to_contain_text("Two boats.")


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


def test_a_collection_of_more_than_a_page_is_drawn_as_a_whole(
    page: Page, photo: Callable[..., Path], tmp_path: Path
) -> None:
    new_collection(page, "Pages")
    upload(page, [photo(tmp_path / f"{number:02}.jpg", number, (16, 16)) for number in range(65)])
    expect(page.get_by_role("grid", name="Photos")).to_be_visible()
    expect(page.get_by_role("link", name="Load more")).to_have_count(0)
    page.locator(".tile").first.focus()
    page.keyboard.press("End")
    expect(page.locator(":focus")).to_have_attribute("data-path", "64.jpg")


def test_a_refused_form_stays_where_it_is_and_says_why(page: Page, complaints: list[str]) -> None:
    new_collection(page, "Taken")
    page.goto("/")
    page.get_by_label("Name").fill("Taken")
    page.get_by_role("button", name="Create collection").click()
    expect(page.get_by_role("alert")).to_contain_text("choose another name")
    expect(page.get_by_label("Name")).to_have_value("Taken")
    assert [complaint[:3] for complaint in complaints] == ["409"]
    complaints.clear()
