"""What a browser is told on every page: what it may load, from where, and what it must send along."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from apiflask import APIFlask

from dashboard.headers import CONTENT_SECURITY_POLICY
from tests.dashboard.visitor import Visitor

FOREIGN = re.compile(r"""(?:src|href|action|content|data-[\w-]+)=["'](?:https?:)?//""")


@pytest.fixture
def pages(
    app: APIFlask, admin: Visitor, new_items: Callable[[int], list[int]], captioned: Callable[[], int]
) -> dict[str, str]:
    """Every page there is, by its address, with something on it."""
    new_items(3)
    captioned()
    texts = {"/missing": admin.get("/missing").text, "/login": app.test_client().get("/login").text}
    for rule in app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or rule.endpoint.endswith("static"):
            continue
        built = rule.build(dict.fromkeys(rule.arguments, 1))
        assert built
        answer = admin.get(built[1], follow_redirects=True)
        if answer.mimetype == "text/html":
            texts[built[1]] = answer.text
    return texts


def test_no_page_names_an_address_outside_our_own(pages: dict[str, str]) -> None:
    assert len(pages) >= 12
    for address, text in pages.items():
        assert not FOREIGN.search(text), address
        for own in ('xmlns="http://www.w3.org/2000/svg"', "curl -X POST http://localhost/api/"):
            text = text.replace(own, "")
        assert "http://" not in text, address
        assert "https://" not in text, address


def test_no_page_holds_inline_script_or_style(pages: dict[str, str]) -> None:
    for address, text in pages.items():
        assert not re.search(r"<script(?![^>]*\ssrc=)", text), address
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", text), address


def test_every_field_has_a_label(pages: dict[str, str]) -> None:
    for address, text in pages.items():
        labelled = set(re.findall(r'<label[^>]*\sfor="([^"]+)"', text))
        for field in re.findall(r"<(?:input|select|textarea)[^>]*>", text):
            if 'type="hidden"' in field or 'type="file"' in field or re.search(r'aria-label="[^"]', field):
                continue
            name = re.search(r'\sid="([^"]+)"', field)
            assert name, f"{address}: {field}"
            assert name[1] in labelled, f"{address}: {field}"


def test_our_scripts_and_styles_load_nothing_from_elsewhere(client: Visitor, app: APIFlask) -> None:
    files = [path for path in Path(str(app.static_folder)).iterdir() if path.suffix in (".js", ".css")]
    assert len(files) >= 8
    for path in files:
        assert not re.search(r"https?://|@import|//[\w.-]+\.\w+/", path.read_text()), path.name


@pytest.mark.parametrize("address", ["/", "/missing", "/api/v1/collections", "/api/v1/missing", "/healthz"])
def test_every_answer_carries_the_headers(admin: Visitor, address: str) -> None:
    headers = admin.get(address).headers
    assert headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "unsafe-inline" not in CONTENT_SECURITY_POLICY


def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(client: Visitor) -> None:
    cookie = client.get("/login").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie
    assert "Secure" in client.get("/login", base_url="https://localhost").headers["Set-Cookie"]


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "*"])
def test_another_host_name_is_refused(client: Visitor, host: str) -> None:
    answer = client.get("/login", headers={"Host": host})
    assert answer.status_code == 400
    assert "RECAPTION_TRUSTED_HOSTS" in answer.text


@pytest.mark.parametrize("host", ["localhost", "localhost:8765", "127.0.0.1:8765"])
def test_this_machine_is_served_under_its_own_names(client: Visitor, host: str) -> None:
    assert client.get("/login", headers={"Host": host}).status_code == 200


def test_a_form_without_its_token_is_refused(admin: Visitor) -> None:
    answer = admin.post("/collections", data={"name": "Kittens"})
    assert answer.status_code == 400
    assert "out of date" in answer.text
    assert "Kittens" not in admin.get("/").text


def test_a_call_of_the_api_without_its_token_is_refused(admin: Visitor) -> None:
    answer = admin.post("/api/v1/collections", json={"name": "Kittens"})
    assert answer.status_code == 400
    assert answer.mimetype == "application/problem+json"


def test_a_login_form_without_its_token_is_refused(client: Visitor) -> None:
    assert client.post("/login", data={"name": "ada", "password": "wrong"}).status_code == 400


def test_no_view_of_the_accounts_library_is_left_open(app: APIFlask) -> None:
    views = {rule.endpoint for rule in app.url_map.iter_rules() if rule.endpoint.startswith("security.")}
    assert views == {"security.login", "security.logout"}
