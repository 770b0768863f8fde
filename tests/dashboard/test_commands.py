"""The commands before they start anything, and where their servers are found."""

import socket

from click.testing import CliRunner

from dashboard.commands import serve
from dashboard.installation import address, is_taken


def test_a_port_that_is_taken_is_named_with_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = CliRunner().invoke(serve, ["--port", str(port)])
    assert answer.exit_code == 2
    assert f"port {port} of 127.0.0.1 is taken" in answer.output
    assert "--port" in answer.output


def test_a_free_port_is_not_taken(free_port: int) -> None:
    assert not is_taken("127.0.0.1", free_port)


def test_the_address_is_one_that_a_browser_on_this_machine_can_open() -> None:
    assert address("127.0.0.1", 8765) == "http://127.0.0.1:8765"
    assert address("0.0.0.0", 8765) == "http://127.0.0.1:8765"
    assert address("::1", 8765) == "http://[::1]:8765"
    assert address("archive.example", 80) == "http://archive.example:80"
