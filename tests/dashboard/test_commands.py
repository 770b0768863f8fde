"""The commands before they start anything, and where their servers are found."""

import socket
import subprocess
import sys

import pytest
from click import Command
from click.testing import CliRunner

from dashboard.addresses import address, is_taken
from dashboard.commands import serve
from dashboard.web_command import web


def test_a_port_that_is_taken_is_named_with_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = CliRunner().invoke(serve, ["--port", str(port)])
    assert answer.exit_code == 2
    assert f"port {port} of 127.0.0.1 is taken" in answer.output
    assert "--port" in answer.output


@pytest.mark.parametrize("command", [serve, web])
def test_an_address_that_no_page_could_be_asked_for_by_is_refused_with_the_way_out(command: Command) -> None:
    answer = CliRunner().invoke(command, ["--host", "::1"])
    assert answer.exit_code == 2
    assert "'::1' is an IPv6 address" in answer.output
    assert "RECAPTION_TRUSTED_HOSTS" in answer.output


def test_a_free_port_is_not_taken(free_port: int) -> None:
    assert not is_taken("127.0.0.1", free_port)


def test_the_address_is_one_that_a_browser_on_this_machine_can_open() -> None:
    assert address("127.0.0.1", 8765) == "http://127.0.0.1:8765"
    assert address("0.0.0.0", 8765) == "http://127.0.0.1:8765"
    assert address("::", 8765) == "http://127.0.0.1:8765"
    assert address("archive.example", 80) == "http://archive.example:80"


WEB = """
import gc, sys
from dashboard.web_command import loading
with loading():
    import dashboard.app, dashboard.server
"""


def test_the_web_server_loads_nothing_that_pages_do_not_need() -> None:
    unwanted = ["torch", "torchvision", "spacy", "pyarrow", "alembic", "catalog.backup", "catalog.doctor"]
    asked = f"print([name for name in {unwanted} if name in sys.modules])"
    assert _said_by(WEB + asked) == "[]"


def test_what_the_web_server_loaded_is_never_looked_through_for_garbage() -> None:
    loaded, left, collects = _said_by(
        WEB + "print(gc.get_freeze_count(), len(gc.get_objects()), gc.isenabled())"
    ).split()
    assert int(loaded) > 100_000
    assert int(left) < 1000
    assert collects == "True"


def _said_by(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.strip()
