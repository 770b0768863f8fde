"""Take the README's screenshots: run the demo in a new home, drive its pages, write docs/images/*.png."""

import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin

from playwright.sync_api import Browser, Page, sync_playwright

from catalog.settings import child_environment

IMAGES = Path(__file__).parent / "images"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
# The third sample photo is a cat, for which the starter knows no word.
CORRECTION = "A tabby cat looks past the camera."
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 360, "height": 740}


@contextmanager
def demo(photos: Path | None) -> Iterator[tuple[str, str]]:
    """The demo with all photos captioned: its one-time login link, and the address of its collection."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as home:
        command = [str(Path(sys.executable).with_name("recaption")), "demo", "--port", port]
        process = subprocess.Popen(
            [*command, *(["--photos", str(photos)] if photos else [])],
            env=child_environment(RECAPTION_HOME=home),
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield _addresses(process)
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)


def _addresses(process: "subprocess.Popen[str]") -> tuple[str, str]:
    assert process.stdout
    said = ""
    for line in process.stdout:
        said += line
        link = re.search(r"http\S+/login/link/\S+", said)
        collection = re.search(r"(http\S+/collections/\d+)\.", said)
        if link and collection:
            return link.group(), collection.group(1)
    raise RuntimeError(f"the demo ended early and said: {said}")


def take(browser: Browser, login: str, collection: str) -> None:
    """Log in once, then photograph the pages in each size and colour scheme."""
    context = browser.new_context(viewport=DESKTOP)
    page = context.new_page()
    page.goto(login)
    shoot(page, collection, "collection")
    page.goto(collection)
    review = page.locator("a[href*='/items/']").nth(2).get_attribute("href")
    assert review
    page.goto(urljoin(page.url, review))
    page.locator("textarea").first.fill(CORRECTION)
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text(CORRECTION).last.wait_for()
    shoot(page, review, "review")
    page.emulate_media(color_scheme="dark")
    shoot(page, review, "review-dark")
    page.set_viewport_size(PHONE)
    shoot(page, review, "review-phone")
    context.close()


def shoot(page: Page, address: str, name: str) -> None:
    page.goto(urljoin(page.url, address))
    page.wait_for_load_state("networkidle")
    page.screenshot(path=IMAGES / f"{name}.png")


def main() -> None:
    photos = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    executable = next(filter(None, map(shutil.which, CHROMIUM)), None)
    with demo(photos) as (login, collection), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        take(browser, login, collection)
        browser.close()


if __name__ == "__main__":
    main()
