"""The dashboard of an installation on the bench, and somebody who is logged in to it."""

import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from html import unescape
from typing import Any
from uuid import uuid4

import requests

from catalog import accounts
from catalog.schema import Role
from dashboard.installation import answers
from tests.faults.bench import Bench
from tests.faults.processes import free_port, wait_until


@dataclass(frozen=True)
class Answer:
    """What came back of a request; status 0 where nothing did. `seconds` is how long it took."""

    status: int
    body: Any
    seconds: float


class Web:
    """A web server without a worker. Its process is called `web` on the bench."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.port = free_port()
        self._browser = requests.Session()
        self._token = ""

    def start(self, *options: str, **variables: str) -> None:
        """Start `recaption serve`, or start it again on the same port, and wait until it answers."""
        self.start_without_waiting(*options, **variables)
        self.wait_until_it_answers()
        assert self.bench.started["web"].poll() is None

    def start_without_waiting(self, *options: str, **variables: str) -> None:
        serve = ("serve", "--port", str(self.port), *(options or ("--no-worker",)))
        self.bench.start("web", *serve, **variables)

    def wait_until_it_answers(self, seconds: float = 60.0) -> None:
        wait_until(lambda: answers("127.0.0.1", self.port), "the web server answers", seconds)

    def log_in(self) -> None:
        """Make an admin and log in, as somebody who may do everything."""
        with self.bench.database.writing() as session:
            user = accounts.create_user(
                session, name=f"ada-{uuid4().hex[:6]}", role=Role.ADMIN, password=uuid4().hex
            )
            secret = accounts.create_login_link(session, user)
        page = self._browser.get(f"{self._address}/login/link/{secret}", timeout=30).text
        found = re.search(r'name="csrf-token" content="([^"]+)"', page)
        assert found, page
        self._token = found[1]

    def call(self, method: str, path: str, **json: object) -> Answer:
        """Call the API as the pages' scripts do."""
        begun = time.monotonic()
        headers = {"X-CSRFToken": self._token}
        try:
            answer = self._browser.request(
                method, f"{self._address}/api/v1{path}", json=json or None, headers=headers, timeout=60
            )
        except requests.ConnectionError as error:
            return Answer(0, str(error), time.monotonic() - begun)
        is_json = "json" in answer.headers.get("Content-Type", "")
        body = answer.json() if is_json else answer.text
        return Answer(answer.status_code, body, time.monotonic() - begun)

    def page(self, path: str) -> str:
        """A page as a browser gets it, with its entities resolved."""
        return unescape(self._browser.get(self._address + path, timeout=30).text)

    @property
    def _address(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Visitors:
    """A thread that asks the same thing of a web server again and again, and counts the answers."""

    def __init__(self, ask: Callable[[], Answer], pause: float = 0.02) -> None:
        self.statuses: Counter[int] = Counter()
        self.unexpected: list[Answer] = []
        self._ask = ask
        self._pause = pause
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Visitors":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(timeout=90)

    def _run(self) -> None:
        while not self._stopped.wait(self._pause):
            answer = self._ask()
            self.statuses[answer.status] += 1
            if answer.status not in (200, 202):
                self.unexpected.append(answer)
