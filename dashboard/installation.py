"""The servers of one installation: which processes `serve` and `demo` run, and when they answer."""

import http.client
import socket
import time

from catalog import settings, workers
from catalog.database import Database
from catalog.queue import CAPTION_QUEUE, TRAIN_QUEUE
from catalog.supervisor import Child
from dashboard.addresses import LOOPBACK, WILDCARDS

ANSWERS_WITHIN = 60.0  # seconds


def children(database: Database, host: str, port: int, *, with_worker: bool) -> list[Child]:
    """The web server and, if wanted, a worker a queue, whose leases expire at once when it dies."""
    web = Child("the web server", settings.own_command("web", "--host", host, "--port", str(port)))
    if not with_worker:
        return [web]
    name = f"{socket.gethostname()}:embedded-{port}"
    return [
        web,
        _worker(database, "the worker", name, CAPTION_QUEUE),
        _worker(database, "the worker that trains", f"{name}:train", TRAIN_QUEUE),
    ]


def _worker(database: Database, called: str, name: str, queue: str) -> Child:
    command = settings.own_command("worker", "--name", name, "--queue", queue, "--log-level", "WARNING")
    return Child(called, command, after_end=workers.burying(database, name))


def wait_until_it_answers(host: str, port: int) -> bool:
    """Wait for the web server; False when it does not answer in time."""
    deadline = time.monotonic() + ANSWERS_WITHIN
    while time.monotonic() < deadline:
        if answers(LOOPBACK if host in WILDCARDS else host, port):
            return True
        time.sleep(0.1)
    return False


def answers(host: str, port: int) -> bool:
    """Whether a web server there says that it can work."""
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
