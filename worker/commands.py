"""The command that works: one process a device."""

import os
import socket
from collections.abc import Sequence
from contextlib import suppress

import click

from catalog import workers
from catalog.commands import opened
from catalog.database import Database
from catalog.settings import child_environment, load_settings, own_command
from catalog.supervisor import Child, Supervisor, exit_on_signals
from worker import app, devices


@click.command("worker")
@click.option("--name", help="The worker's name on the jobs page.  [default: host and process id]")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--log-level", default="INFO", show_default=True)
def worker(name: str | None, device: str, log_level: str) -> None:
    """Caption for the jobs of this installation, with one process a device."""
    settings = load_settings()
    name = name or f"{socket.gethostname()}:{os.getpid()}"
    gpus = (settings.visible_gpus or devices.cuda_devices()) if device == "auto" else ()
    if len(gpus) > 1:
        _one_process_each(opened(settings), name, gpus, log_level)
    else:
        kind = device if device != "auto" else ("cuda" if gpus else "cpu")
        app.run(settings, name=name, device=kind, log_level=log_level)


def _one_process_each(database: Database, name: str, gpus: Sequence[str], log_level: str) -> None:
    """Keep a worker running for every GPU, each seeing only its own, until SIGTERM or Ctrl+C."""

    def child(gpu: str) -> Child:
        own_name = f"{name}:cuda{gpu}"
        command = own_command("worker", "--device", "cuda", "--name", own_name, "--log-level", log_level)
        environment = child_environment(CUDA_VISIBLE_DEVICES=gpu)
        end = workers.burying(database, own_name)
        return Child(f"the worker {own_name}", command, environment=environment, after_end=end)

    exit_on_signals()
    with suppress(KeyboardInterrupt), Supervisor([child(gpu) for gpu in gpus]) as supervisor:
        supervisor.wait()
