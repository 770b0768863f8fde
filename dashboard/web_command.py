"""The command that runs the web server alone: it loads nothing that the pages do not need."""

import dataclasses
import gc
from collections.abc import Iterator
from contextlib import contextmanager

import click

from dashboard.addresses import WILDCARDS, host_option, port_option


@click.command()
@host_option
@port_option
def web(host: str, port: int) -> None:
    """Run the dashboard alone, without a worker and without supervision."""
    with loading():
        from catalog.settings import load_settings
        from dashboard.app import create_app
        from dashboard.server import serve

    settings = load_settings()
    if host not in WILDCARDS:
        settings = dataclasses.replace(settings, trusted_hosts=(*settings.trusted_hosts, host))
    one_writer = settings.database_url.startswith("sqlite")
    serve(lambda: create_app(settings), host, port, processes=1 if one_writer else 2)


@contextmanager
def loading() -> Iterator[None]:
    """Load modules without looking for garbage among them, neither now nor in the processes forked later.

    There is none, and looking takes a fifth of the start and then a pause of each request that meets it.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
