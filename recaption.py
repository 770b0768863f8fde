"""The command line: one group; each command is imported when it is called."""

import importlib
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

# Name, where it is defined, and the help line, kept here so that `recaption --help` imports nothing; those
# without one are for our own processes.
COMMANDS = {
    "demo": ("dashboard.commands:demo", "Run everything on this machine with your photos, or with samples."),
    "serve": ("dashboard.commands:serve", "Run the dashboard and a worker."),
    "web": ("dashboard.web_command:web", "Run the dashboard alone."),
    "worker": ("worker.commands:worker", "Run one worker a device of this machine."),
    "caption": ("model.commands:caption", "Caption photos into a file, without a database."),
    "train": ("model.commands:train", "Train a captioner from a recipe."),
    "evaluate": ("model.commands:evaluate", "Score captions against references."),
    "check-checkpoint": ("model.commands:check_checkpoint", ""),
    "import": ("catalog.commands:import_command", "Import photos into a collection."),
    "duplicates": ("catalog.commands:duplicates_command", "List the photos of a collection that look alike."),
    "delete": ("catalog.commands:delete_command", "Delete a collection or an item."),
    "job": ("catalog.training_commands:job_group", "Start jobs, watch them and steer them."),
    "backup": ("catalog.commands:backup_command", "Write database and stored files into one file."),
    "restore": ("catalog.commands:restore_command", "Fill an empty installation from a backup."),
    "doctor": ("catalog.commands:doctor_command", "Look for damage, and repair it."),
    "export": (
        "catalog.export_command:export_command",
        "Write a frozen dataset, or the captions of a collection, to files.",
    ),
    "write-back": (
        "catalog.write_back_command:write_back_command",
        "Write captions beside originals that were left where they are.",
    ),
    "freeze": ("catalog.dataset_commands:freeze_command", "Freeze accepted captions as a dataset."),
    "dataset": ("catalog.dataset_commands:dataset_group", "List datasets, show them, delete them."),
    "golden": (
        "catalog.golden_commands:golden_group",
        "Draw and freeze sets by which captioners are judged.",
    ),
    "checkpoint": (
        "catalog.checkpoint_commands:checkpoint_group",
        "List checkpoints, measure, promote, roll back, add and save them.",
    ),
    "benchmark": ("benchmarks.commands:benchmark", "Measure how close this machine comes to its limits."),
    "migrate": ("catalog.commands:migrate_command", "Create the database or bring it to this release."),
    "user": ("catalog.account_commands:user_group", "Add users."),
    "token": ("catalog.account_commands:token_group", "Make, list and revoke tokens for the REST API."),
}
PARENT_CHECK = 1.0  # seconds between two looks at whether the parent still lives
ERRORS = (
    "pictures.errors:PictureError",
    "model.errors:ModelError",
    "catalog.errors:CatalogError",
    "sqlalchemy.exc:OperationalError",
)


@dataclass(frozen=True)
class Installation:
    """What lies beside this module once it is installed."""

    starter: Path = Path(__file__).resolve().parent / "model" / "starter"


class LazyGroup(click.Group):
    """A group that imports a command's module only to run it."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        return _load(COMMANDS[name][0]) if name in COMMANDS else None

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items() if line])


@click.group(cls=LazyGroup)
@click.version_option(version("recaption"), prog_name="recaption")
@click.option("--with-parent", is_flag=True, hidden=True, help="End when the process that started this ends.")
@click.pass_context
def cli(context: click.Context, with_parent: bool) -> None:
    """Caption photo archives in bulk, correct the captions, and keep the pairs as datasets."""
    context.obj = Installation()
    if with_parent:
        _end_with_parent()


def main() -> None:
    """Run a command; an error of a room, the system or the database is one line on stderr and exit code 2."""
    try:
        cli()
    except Exception as error:
        if not isinstance(error, (OSError, *(_load(place) for place in ERRORS))):
            raise
        # The database's own words, without the statement that it was given.
        click.echo(f"Error: {getattr(error, 'orig', None) or error}", err=True)
        sys.exit(2)


def _end_with_parent() -> None:
    """Ask this process to end once its parent has: a child must not outlive its supervisor."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_CHECK)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent watch", daemon=True).start()


def _load(place: str) -> Any:
    module, name = place.split(":")
    return getattr(importlib.import_module(module), name)
