"""The command that works: one process a device."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from catalog.settings import child_environment, load_settings
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
        _one_process_each(name, gpus, log_level)
    else:
        kind = device if device != "auto" else ("cuda" if gpus else "cpu")
        app.run(settings, name=name, device=kind, log_level=log_level)


def _one_process_each(name: str, gpus: Sequence[str], log_level: str) -> None:
    """Run a worker for every GPU, each seeing only its own, until all have ended."""
    command = [
        str(Path(sys.executable).with_name("recaption")),
        "--with-parent",
        "worker",
        "--device",
        "cuda",
    ]
    processes = [
        subprocess.Popen(
            [*command, "--name", f"{name}:cuda{gpu}", "--log-level", log_level],
            env=child_environment(CUDA_VISIBLE_DEVICES=gpu),
        )
        for gpu in gpus
    ]

    def pass_on(number: int, frame: object) -> None:
        for process in processes:
            process.send_signal(signal.SIGTERM)

    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGINT, pass_on)
    statuses = [process.wait() for process in processes]
    # One that was told to end before it could listen died of the signal, as it was meant to.
    sys.exit(any(status not in (0, -signal.SIGTERM) for status in statuses))
