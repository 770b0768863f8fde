"""The command that works: one process a device that captions, and one that trains."""

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import click

from catalog import workers
from catalog.commands import opened
from catalog.database import Database
from catalog.queue import CAPTION_QUEUE, TRAIN_QUEUE
from catalog.settings import child_environment, load_settings, own_command
from catalog.supervisor import Child, Supervisor, exit_on_signals
from worker import app, devices

ALL = "all"


@click.command("worker")
@click.option("--name", help="The worker's name on the jobs page.  [default: host and process id]")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option(
    "--queue",
    type=click.Choice([CAPTION_QUEUE, TRAIN_QUEUE, ALL]),
    default=ALL,
    show_default=True,
    help="What to work at: captioning, training, or both at once.",
)
@click.option("--log-level", default="INFO", show_default=True)
def worker(name: str | None, device: str, queue: str, log_level: str) -> None:
    """Work at the jobs of this installation: one process a device captions, and one trains."""
    settings = load_settings()
    name = name or f"{socket.gethostname()}:{os.getpid()}"
    gpus = (settings.visible_gpus or devices.cuda_devices()) if device == "auto" else ()
    kind = device if device != "auto" else ("cuda" if gpus else "cpu")
    posts = _posts(name, kind, gpus, queue)
    if len(posts) == 1:
        app.run(settings, name=name, device=kind, queue=posts[0].queue, log_level=log_level)
    else:
        _one_process_each(opened(settings), posts, log_level)


@dataclass(frozen=True)
class _Post:
    """A process to run: its worker's name, what it works at, and the GPU that it sees, if not all."""

    name: str
    device: str
    queue: str
    gpu: str | None = None


def _posts(name: str, device: str, gpus: Sequence[str], queue: str) -> list[_Post]:
    """One post for captioning on each device, and one for training, which is on the last GPU."""
    several = len(gpus) > 1
    captions = [_Post(f"{name}:cuda{gpu}", "cuda", CAPTION_QUEUE, gpu) for gpu in gpus] if several else []
    trains = _Post(f"{name}:train", device, TRAIN_QUEUE, gpus[-1] if several else None)
    return [
        *((captions or [_Post(name, device, CAPTION_QUEUE)]) if queue != TRAIN_QUEUE else []),
        *([trains] if queue != CAPTION_QUEUE else []),
    ]


def _one_process_each(database: Database, posts: Sequence[_Post], log_level: str) -> None:
    """Keep a worker running at every post until SIGTERM or Ctrl+C."""

    def child(post: _Post) -> Child:
        named = ("--name", post.name, "--device", post.device, "--queue", post.queue)
        environment = child_environment(CUDA_VISIBLE_DEVICES=post.gpu) if post.gpu else None
        end = workers.burying(database, post.name)
        command = own_command("worker", *named, "--log-level", log_level)
        return Child(f"the worker {post.name}", command, environment=environment, after_end=end)

    exit_on_signals()
    with suppress(KeyboardInterrupt), Supervisor([child(post) for post in posts]) as supervisor:
        supervisor.wait()
