"""The command that writes captions beside the originals that were left where they are."""

import sys

import click

from catalog import collections, write_back
from catalog.commands import opened
from catalog.schema import CaptionState
from catalog.settings import load_settings
from catalog.write_back import FORMATS, Planned, Refused

STATES = (CaptionState.ACCEPTED.value, CaptionState.CANDIDATE.value)


@click.command("write-back")
@click.argument("collection")
@click.option("--format", "format_", type=click.Choice(FORMATS), default="txt", show_default=True)
@click.option(
    "--state", type=click.Choice(STATES), default=STATES[0], show_default=True, help="Of the captions."
)
@click.option("--dry-run", is_flag=True, help="Show what would change, and write nothing.")
def write_back_command(collection: str, format_: str, state: str, dry_run: bool) -> None:
    """Write the captions of COLLECTION beside its originals that were left where they are.

    As txt: the captions, one a line. As xmp: captions, alt texts and descriptions in a sidecar, whose other
    fields stay. What is replaced is kept beside it, as photo.txt.~1~.
    """
    changed = same = refused = 0
    with opened(load_settings()).reading() as session:
        found = collections.by_name(session, collection)
        for one in write_back.plan(session, found, format=format_, state=CaptionState(state)):
            told = _written(one, dry_run=dry_run) if isinstance(one, Planned) else one
            if isinstance(told, Refused):
                refused += 1
                click.echo(f"{told.path}: {told.why}", err=True)
            elif isinstance(one, Planned) and one.changes:
                changed += 1
                click.echo(told)
            else:
                same += 1
    done = "would be written" if dry_run else "written"
    click.echo(f"{changed} {done}, {same} unchanged, {refused} refused")
    if refused:
        sys.exit(1)


def _written(planned: Planned, *, dry_run: bool) -> str | Refused:
    """What was done, or would be, in words."""
    if not planned.changes:
        return ""
    if dry_run:
        return planned.difference()
    try:
        kept = write_back.write(planned)
    except OSError as error:
        return Refused(planned.path, f"cannot be written: {error.strerror or error}")
    return f"{planned.path}" + (f", what it was is {kept.name}" if kept else "")
