"""The web server: gunicorn with threads, told everything here and nothing by the working directory."""

from collections.abc import Callable
from typing import Any

from gunicorn.app.base import BaseApplication

THREADS = 8
REQUEST_TIMEOUT = 300  # seconds; a large upload over a slow line takes its time
GRACE = 5  # seconds in which requests may end
LONGEST_ADDRESS = 8190  # characters, the most that gunicorn can: filters travel in addresses


class Server(BaseApplication):
    """gunicorn around an application that is made after the fork, so that no connection is shared."""

    def __init__(self, make_app: Callable[[], Any], options: dict[str, Any]) -> None:
        self.make_app = make_app
        self.options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self.options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return self.make_app()


def serve(make_app: Callable[[], Any], host: str, port: int, *, processes: int = 1) -> None:
    """Serve until SIGTERM. Raises SystemExit when the address cannot be bound."""
    options = {
        "bind": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        "workers": processes,
        "worker_class": "gthread",
        "threads": THREADS,
        "timeout": REQUEST_TIMEOUT,
        "graceful_timeout": GRACE,
        "limit_request_line": LONGEST_ADDRESS,
        "loglevel": "warning",
        "control_socket_disable": True,
    }
    Server(make_app, options).run()
