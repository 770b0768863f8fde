"""The page of API tokens: made, copied, used and revoked; on a phone and in the dark as well."""

import re
from collections.abc import Callable
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import BrowserContext, Page, StorageState, expect

from tests.serving import Server

LONG = "a-very-long-name-without-any-blank-that-somebody-gave-to-the-script-which-runs-every-night"


def make(page: Page, name: str, scope: str = "Read what you may see") -> str:
    """Make a token and return its secret."""
    page.goto("/tokens")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Scope").select_option(scope)
    page.get_by_label("Good for").select_option("A year")
    page.get_by_role("button", name="Make token").click()
    return page.get_by_label("Token", exact=True).input_value()


def call(server: Server, secret: str) -> int:
    """The status of a request that carries a token."""
    headers = {"Authorization": f"Bearer {secret}"}
    with urlopen(Request(f"{server.address}/api/v1/collections", headers=headers)) as answer:
        return int(answer.status)


def test_a_token_is_made_copied_used_and_revoked(
    new_context: Callable[..., BrowserContext], logged_in: StorageState, server: Server
) -> None:
    context = new_context(storage_state=logged_in, permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto("/")
    page.get_by_role("link", name="Tokens").click()
    expect(page.get_by_role("heading", name="Your tokens")).to_be_visible()
    secret = make(page, "nightly")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("status")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == secret
    assert call(server, secret) == 200
    page.goto("/tokens")
    row = page.get_by_role("listitem").filter(has_text="nightly")
    expect(row).to_contain_text("last used")
    assert secret not in page.content()
    row.get_by_role("button", name="Revoke nightly").click()
    expect(row).to_have_count(0)
    with pytest.raises(HTTPError, match="401"):
        call(server, secret)


def test_where_a_page_may_not_copy_the_token_is_selected(
    new_context: Callable[..., BrowserContext], logged_in: StorageState
) -> None:
    page = new_context(storage_state=logged_in).new_page()
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    secret = make(page, "no clipboard")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("status")).to_have_text(re.compile("press Ctrl"))
    assert page.evaluate("getSelection().toString()") == secret


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_phone(new_page: Callable[..., Page], scheme: str) -> None:
    phone = new_page(viewport={"width": 360, "height": 740}, color_scheme=scheme)
    make(phone, LONG)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 360
    for name in ("Copy", f"Revoke {LONG}", "Make token"):
        box = phone.get_by_role("button", name=name).first.bounding_box()
        assert box
        assert box["x"] + box["width"] <= 360
        # One line of text: no word is broken.
        assert box["height"] < 45


def test_a_token_without_a_name_is_not_sent(page: Page) -> None:
    page.goto("/tokens")
    page.get_by_role("button", name="Make token").click()
    expect(page.get_by_label("Name")).to_be_focused()
    assert page.get_by_label("Token", exact=True).count() == 0
