"""A real `recaption serve` with its worker, and the system's Chromium before it."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Response,
    StorageState,
    expect,
    sync_playwright,
)

from catalog import accounts
from catalog.schema import Role
from tests.serving import Server, serving

# A busy machine may take long to answer; waiting longer costs nothing where it does not.
expect.set_options(timeout=30_000)

NAME, PASSWORD = "ada", "correct horse battery"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def server(
    migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory, session_port: int
) -> Iterator[Server]:
    """`recaption serve` with one admin, for all browser tests."""
    with serving(tmp_path_factory.mktemp("home"), migrated_sqlite, session_port) as server:
        with server.database.writing() as session:
            accounts.create_user(session, name=NAME, role=Role.ADMIN, password=PASSWORD)
        yield server


@pytest.fixture(scope="session")
def session_port() -> int:
    """A free port for the server of the session."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> list[str]:
    """What browsers complained about; a test that expects a complaint clears it."""
    return []


@pytest.fixture
def new_context(
    browser: Browser, server: Server, complaints: list[str]
) -> Iterator[Callable[..., BrowserContext]]:
    """A function that opens a browser of its own; what goes wrong in its scripts or rules fails the test."""
    opened: list[BrowserContext] = []

    def open_one(**options: object) -> BrowserContext:
        context = browser.new_context(base_url=server.address, **options)  # type: ignore[arg-type]
        context.on("console", lambda message: _note_message(message, complaints))
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        context.on("response", lambda response: _note_response(response, complaints))
        opened.append(context)
        return context

    yield open_one
    for context in opened:
        context.close()
    assert complaints == []


@pytest.fixture(scope="session")
def logged_in(browser: Browser, server: Server) -> StorageState:
    """The cookies of a login; one serves all tests, for logins are counted."""
    context = browser.new_context(base_url=server.address)
    page = context.new_page()
    page.goto("/login")
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="Collections", exact=True).wait_for()
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def new_page(new_context: Callable[..., BrowserContext], logged_in: StorageState) -> Callable[..., Page]:
    """A function that opens a page of a fresh browser that is logged in."""

    def open_one(**options: object) -> Page:
        return new_context(storage_state=logged_in, **options).new_page()

    return open_one


@pytest.fixture
def page(new_page: Callable[..., Page]) -> Page:
    return new_page()


def _note_message(message: ConsoleMessage, complaints: list[str]) -> None:
    if message.type in ("error", "warning") and "status of 4" not in message.text:
        complaints.append(message.text)


def _note_response(response: Response, complaints: list[str]) -> None:
    if response.status >= 400:
        complaints.append(f"{response.status} {response.url}")
