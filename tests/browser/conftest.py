"""A real `recaption serve` with its worker, and the system's Chromium before it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
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
from catalog.database import Database
from catalog.schema import Role
from catalog.settings import child_environment, load_settings

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


@dataclass(frozen=True)
class Server:
    """A running installation: where it answers, its database, and the process of `recaption serve`."""

    address: str
    database: Database
    pid: int

    def kill_web_process(self) -> None:
        """Kill the web server with all that it started; the supervisor starts another one."""
        for child in Path(f"/proc/{self.pid}/task").glob("*/children"):
            for pid in child.read_text().split():
                if b"\0web\0" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.killpg(int(pid), signal.SIGKILL)
                    return
        pytest.fail("there is no web process to kill")


@pytest.fixture(scope="session")
def server(
    migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory, session_port: int
) -> Iterator[Server]:
    """`recaption serve` with one admin, for all browser tests."""
    home = tmp_path_factory.mktemp("home")
    shutil.copy(migrated_sqlite, home / "recaption.sqlite")
    variables = {"RECAPTION_HOME": str(home)}
    database = Database(load_settings(variables).database_url)
    with database.writing() as session:
        accounts.create_user(session, name=NAME, role=Role.ADMIN, password=PASSWORD)
    command = [str(Path(sys.executable).with_name("recaption")), "serve", "--port", str(session_port)]
    with (home / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, env=child_environment(**variables), stdout=log, stderr=log)
    wait_until_healthy(session_port, process, home / "serve.log")
    yield Server(f"http://127.0.0.1:{session_port}", database, process.pid)
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=30)
    database.close()


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


def wait_until_healthy(port: int, process: subprocess.Popen[bytes], log: Path, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    pytest.fail(f"recaption serve does not answer: {log.read_text()[-2000:]}")


def _note_message(message: ConsoleMessage, complaints: list[str]) -> None:
    if message.type in ("error", "warning") and "status of 4" not in message.text:
        complaints.append(message.text)


def _note_response(response: Response, complaints: list[str]) -> None:
    if response.status >= 400:
        complaints.append(f"{response.status} {response.url}")
