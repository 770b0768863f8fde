"""How long reviewers wait for the next photo while four of them work and a job captions beside them."""

import html
import http.client
import json
import random
import re
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.cookies import SimpleCookie
from itertools import pairwise
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import select

from benchmarks.installation import Installation
from benchmarks.rows import Row
from catalog import accounts, collections
from catalog.database import Database
from catalog.schema import Item, Job, JobState, ReviewState, Role
from dashboard.addresses import LOOPBACK

REVIEWERS = 4
ANSWERS = 50  # a reviewer
LOOKS = (0.5, 1.5)  # seconds at a photo, drawn anew each time; people need longer
AHEAD = 50  # photos that wait for review before the reviewers begin
PATIENCE = 120.0  # seconds until the job has captioned that many
COLLECTION = "Photos"
PASSWORD = "a password of the benchmark"
LONGEST_SKIP = 200  # photos, as room.js has it
STEPS = ("decision", "queue", "page", "picture")

# The seconds of each of the STEPS on the way to one photo.
Taken = tuple[float, ...]


@dataclass(frozen=True)
class Shown:
    """What a page of the review room tells its scripts about one photo and the caption that waits."""

    item_id: int
    caption: str
    version: int
    queue: str
    picture: str
    lease: str
    inside: str


class Reviewer:
    """One logged-in session. Its connection is kept open from a decision until the next photo is there."""

    def __init__(self, port: int, name: str) -> None:
        self._connection = http.client.HTTPConnection(LOOPBACK, port, timeout=60)
        self._cookies: SimpleCookie = SimpleCookie()
        self._token = ""
        self._passed: list[int] = []
        self._token = _token(self.page("/login"))
        form = {"name": name, "password": PASSWORD, "csrf_token": self._token}
        self._send("POST", "/login", urlencode(form).encode(), "application/x-www-form-urlencoded")
        self._connection.close()

    def review(self, collection_id: int, answers: int, looks: tuple[float, float]) -> list[Taken]:
        """Accept one caption after the other, so many times and once before that does not count."""
        page = self.page(f"/collections/{collection_id}/review?state=pending")
        self._token = _token(page)
        shown, taken = _shown(page), []
        for _ in range(answers + 1):
            time.sleep(random.uniform(*looks))
            page, seconds = self._accept(shown)
            taken.append(seconds)
            before, shown = shown, _shown(page)
            self._arrive(shown, before)
        return taken[1:]

    def page(self, url: str) -> str:
        """A page, behind the redirections that lead to it."""
        status, headers, body = self._send("GET", url)
        while status in (302, 303):
            status, headers, body = self._send("GET", headers["Location"])
        return body.decode()

    def _accept(self, shown: Shown) -> tuple[str, Taken]:
        """Accept the caption and fetch the page and the picture of the next photo; gives the page."""
        moments = [time.perf_counter()]
        self._ask("PATCH", shown.caption, {"state": "accepted", "version": shown.version})
        moments.append(time.perf_counter())
        self._passed.append(shown.item_id)
        asked = {"behind": shown.item_id, "skip": self._passed[-LONGEST_SKIP:]}
        answer = self._ask("POST", shown.queue, asked)
        if not answer:
            raise RuntimeError("no photo waits for review any more; take more photos")
        moments.append(time.perf_counter())
        page = self.page(json.loads(answer)["url"])
        moments.append(time.perf_counter())
        self._send("GET", _shown(page).picture)
        moments.append(time.perf_counter())
        return page, tuple(end - begin for begin, end in pairwise(moments))

    def _arrive(self, shown: Shown, before: Shown) -> None:
        """What else the room asks for when it shows a photo, while people look at it."""
        self._ask("DELETE", before.lease)
        self._ask("PUT", shown.lease)
        if shown.inside:
            self._ask("GET", shown.inside)
        # People look at a photo for longer than the server keeps a connection.
        self._connection.close()

    def _ask(self, method: str, url: str, sent: Any = None) -> bytes:
        body = None if sent is None else json.dumps(sent).encode()
        return self._send(method, url, body, "application/json")[2]

    def _send(
        self, method: str, url: str, body: bytes | None = None, kind: str = ""
    ) -> tuple[int, Any, bytes]:
        """Status, headers and body of an answer. Raises RuntimeError for an error."""
        headers = {"Cookie": "; ".join(f"{name}={one.value}" for name, one in self._cookies.items())}
        if method != "GET":
            headers["X-CSRFToken"] = self._token
        if body is not None:
            headers["Content-Type"] = kind
        self._connection.request(method, url, body, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {url} answered {answer.status}: {content[:500]!r}")
        for cookie in answer.headers.get_all("Set-Cookie", []):
            self._cookies.load(cookie)
        return answer.status, answer.headers, content


def measure(
    photos: Sequence[Path],
    *,
    many: int,
    answers: int = ANSWERS,
    looks: tuple[float, float] = LOOKS,
    ahead: int = AHEAD,
) -> list[Row]:
    """Milliseconds from a decision to the next photo, at the 95th percentile, on SQLite.

    A collection of `many` photos, those given under several names, is captioned by a job while four reviewers
    accept what it wrote. Counted is all that the server has to do for the next photo, one request behind the
    other: save the decision, lease the next item, draw its page, read its picture. The review room lets
    people wait for less, since it asks for the next photo while they look at this one. What else it
    asks for (leases, the words' confidence) is asked for, too, and not counted.
    Raises RuntimeError as `require_running` does.
    """
    with TemporaryDirectory(prefix="recaption-benchmark-") as folder:
        installation = Installation(Path(folder, "home"))
        installation.run("import", COLLECTION, str(_copies(photos, many, Path(folder, "photos"))))
        names = _reviewers(installation.database)
        with installation.database.reading() as session:
            collection_id = collections.by_name(session, COLLECTION).id
        with installation.web() as port, installation.worker():
            reviewers = [Reviewer(port, name) for name in names]
            job_id = installation.start_job(COLLECTION)
            _wait_for_captions(installation.database, ahead)
            before = installation.job(job_id).done
            with ThreadPoolExecutor(REVIEWERS) as threads:
                begun = [threads.submit(one.review, collection_id, answers, looks) for one in reviewers]
                taken = [seconds for review in begun for seconds in review.result()]
            job = installation.job(job_id)
        installation.database.close()
    require_running(job)
    return [row(taken, captioned=job.done - before)]


def require_running(job: Job) -> None:
    """Raises RuntimeError for a job that ended before the reviewers did."""
    if job.state is not JobState.RUNNING:
        raise RuntimeError(
            f"the job that had to run beside the reviewers is {job.state}, with {job.done} of {job.total} "
            "photos captioned; take more photos with --many"
        )


def row(taken: Sequence[Taken], *, captioned: int) -> Row:
    """The row of all answers, with the 95th percentile of each step."""
    whole = [sum(steps) for steps in taken]
    of_steps = zip(STEPS, zip(*taken, strict=True), strict=True)
    return Row(
        name=f"review, next photo, {REVIEWERS} reviewers beside a job, p95 in milliseconds",
        ratio=_percentile(whole, 95),
        medians={
            "p50": _percentile(whole, 50),
            "p95": _percentile(whole, 95),
            "worst": _percentile(whole, 100),
            **{f"{step}, p95": _percentile(seconds, 95) for step, seconds in of_steps},
            "answers": len(taken),
            "photos captioned meanwhile": captioned,
        },
        unit="milliseconds",
        at_most=150,
    )


def _percentile(seconds: Sequence[float], percent: int) -> float:
    """The time that so many of a hundred answers did not exceed, in milliseconds."""
    return round(1000 * sorted(seconds)[ceil(percent / 100 * len(seconds)) - 1], 1)


def _copies(photos: Sequence[Path], many: int, folder: Path) -> Path:
    """A folder with `many` files: the photos, each under as many names as that takes."""
    folder.mkdir()
    for number in range(many):
        photo = photos[number % len(photos)]
        shutil.copyfile(photo, folder / f"{number:06}{photo.suffix}")
    return folder


def _reviewers(database: Database) -> list[str]:
    """The names of the reviewers, who see every collection."""
    names = [f"reviewer {number}" for number in range(1, REVIEWERS + 1)]
    with database.writing() as session:
        for name in names:
            accounts.create_user(session, name=name, role=Role.ADMIN, password=PASSWORD)
    return names


def _wait_for_captions(database: Database, count: int) -> None:
    """Wait until so many photos have a caption that waits for review."""
    waiting = select(Item.id).where(Item.review_state == ReviewState.PENDING).limit(count)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with database.reading() as session:
            if len(session.scalars(waiting).all()) == count:
                return
        time.sleep(0.1)
    raise RuntimeError(f"the job did not caption {count} photos within {PATIENCE:.0f} seconds")


def _shown(page: str) -> Shown:
    """What room.js and its companions read from a page. Raises RuntimeError where no caption waits."""
    form = re.search(
        r'<form class="caption" data-caption="\d+" data-version="(\d+)"[^>]*'
        r'data-url="([^"]+)" data-state="candidate"',
        page,
    )
    if form is None:
        raise RuntimeError(f"no caption waits on this page: {page[:500]}")

    def told(name: str) -> str:
        found = re.search(rf'{name}="([^"]*)"', page)
        return html.unescape(found.group(1)) if found else ""

    return Shown(
        item_id=int(told("data-item")),
        caption=html.unescape(form.group(2)),
        version=int(form.group(1)),
        queue=told("data-queue-url"),
        picture=told("img data-photo src"),
        lease=told("data-lease"),
        inside=told("data-words"),
    )


def _token(page: str) -> str:
    found = re.search(r'name="csrf-token" content="([^"]+)"', page)
    if found is None:
        raise RuntimeError("the page carries no CSRF token")
    return html.unescape(found.group(1))
