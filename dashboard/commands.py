"""Commands that serve and supervise: demo, serve."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from catalog import accounts, checkpoints
from catalog.blobs import open_blobs
from catalog.commands import opened
from catalog.database import Database
from catalog.settings import Settings, load_settings
from catalog.supervisor import Supervisor, exit_on_signals
from dashboard import demo as demonstration
from dashboard.addresses import LOOPBACK, address, host_option, is_taken, port_option
from dashboard.installation import children, wait_until_it_answers


@click.command()
@host_option
@port_option
@click.option("--no-worker", is_flag=True, help="Run no worker here: others do the work.")
@click.pass_obj
def serve(installation: Any, host: str, port: int, no_worker: bool) -> None:
    """Run the dashboard and a worker until Ctrl+C."""
    _require_free(host, port)
    exit_on_signals()
    database = _prepared(load_settings(), installation)
    with database.reading() as session:
        nobody = not accounts.users(session, limit=1).rows
    with _running(database, host, port, with_worker=not no_worker) as supervisor:
        click.echo(f"Recaption is at {address(host, port)}")
        if nobody:
            click.echo("Nobody can log in yet: `recaption user add NAME --role admin` makes the first user.")
        supervisor.wait()


@click.command()
@click.option(
    "--photos",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="A folder with photos.  [default: samples]",
)
@port_option
@click.pass_obj
def demo(installation: Any, photos: Path | None, port: int) -> None:
    """Run everything on this machine, caption your photos or samples, and print how to log in."""
    _require_free(LOOPBACK, port)
    chosen = demonstration.photos_of(photos)
    exit_on_signals()
    settings = load_settings()
    database = _prepared(settings, installation)
    with _running(database, LOOPBACK, port, with_worker=True) as supervisor:
        here = address(LOOPBACK, port)
        click.echo(f"Recaption is at {here}")
        click.echo(f"Log in, once, with {here}/login/link/{demonstration.login_secret(database)}")
        if chosen.guidelines:
            click.echo(chosen.guidelines)
        collection_id = demonstration.import_photos(settings, database, chosen)
        demonstration.caption(settings, database, collection_id)
        click.echo(f"Review the captions at {here}/collections/{collection_id}. Ctrl+C stops everything.")
        supervisor.wait()


def _prepared(settings: Settings, installation: Any) -> Database:
    database = opened(settings)
    checkpoints.ensure_starter(database, open_blobs(settings), installation.starter)
    return database


def _require_free(host: str, port: int) -> None:
    if is_taken(host, port):
        raise click.BadParameter(
            f"port {port} of {host} is taken; stop what listens there, or choose another one with --port"
        )


@contextmanager
def _running(database: Database, host: str, port: int, *, with_worker: bool) -> Iterator[Supervisor]:
    """The servers, answering; they end with the block, which Ctrl+C and SIGTERM leave in order."""
    try:
        with Supervisor(children(database, host, port, with_worker=with_worker)) as supervisor:
            if not wait_until_it_answers(host, port):
                raise click.ClickException("the web server did not start; its messages above tell why")
            yield supervisor
    except KeyboardInterrupt:
        click.echo("Stopped.")
