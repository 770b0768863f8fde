"""Commands on checkpoints: list, show, measure, promote, roll back, add and save."""

import json
from pathlib import Path

import click

from catalog import checkpoint_report, checkpoints, promotions, training_jobs
from catalog.blobs import open_blobs
from catalog.commands import opened
from catalog.queue import TRAIN_QUEUE, Queue
from catalog.schema import Checkpoint, Promotion
from catalog.settings import load_settings

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
name_argument = click.argument("name", metavar="NAME")
reason_option = click.option("--reason", metavar="TEXT", help="Why, for those who come after.")


@click.group("checkpoint")
def checkpoint_group() -> None:
    """List checkpoints, measure, promote, roll back, add and save them."""


@checkpoint_group.command("list")
@json_option
@click.option("--after", metavar="ID", type=int, help="Go on with the checkpoints before this one.")
def checkpoint_list(as_json: bool, after: int | None) -> None:
    """List checkpoints, newest first, a hundred at a time."""
    with opened(load_settings()).reading() as session:
        told = [checkpoint_report.described(one) for one in checkpoints.newest(session, after=after).rows]
    if as_json:
        click.echo(json.dumps(told))
        return
    for checkpoint in told:
        click.echo(checkpoint_report.in_a_line(checkpoint))


@checkpoint_group.command("show")
@name_argument
@json_option
def checkpoint_show(name: str, as_json: bool) -> None:
    """Show where a checkpoint comes from, what it scored, and what the gate says of it."""
    settings = load_settings()
    with opened(settings).reading() as session:
        shown, active = checkpoints.by_name(session, name), checkpoints.active(session)
        told = checkpoint_report.report(session, open_blobs(settings), shown, active)
    click.echo(json.dumps(told) if as_json else checkpoint_report.in_full(told))


@checkpoint_group.command("measure")
@name_argument
@json_option
def checkpoint_measure(name: str, as_json: bool) -> None:
    """Start a job that compares a checkpoint with the active one on all golden sets."""
    settings = load_settings()
    with opened(settings).writing() as session:
        job = training_jobs.create_measuring(session, checkpoints.by_name(session, name), user=None)
    if not Queue(settings).wake(queue=TRAIN_QUEUE):
        click.echo("the broker does not answer; the job stays queued until a worker finds it", err=True)
    told = {"job": job.id, "checkpoint": name}
    click.echo(json.dumps(told) if as_json else f"job {job.id} measures {name}")


@checkpoint_group.command("promote")
@name_argument
@reason_option
@json_option
def checkpoint_promote(name: str, reason: str | None, as_json: bool) -> None:
    """Let NAME caption from now on. A reason is needed where the gate does not call it better."""
    with opened(load_settings()).writing() as session:
        checkpoint = checkpoints.by_name(session, name)
        promotion = promotions.promote(session, checkpoint, user=None, reason=reason)
    _tell(checkpoint, promotion, as_json)


@checkpoint_group.command("rollback")
@reason_option
@json_option
def checkpoint_rollback(reason: str | None, as_json: bool) -> None:
    """Take the latest promotion back; done again, the one before it."""
    with opened(load_settings()).writing() as session:
        promotion = promotions.roll_back(session, user=None, reason=reason)
        checkpoint = checkpoints.get(session, promotion.checkpoint_id)
    _tell(checkpoint, promotion, as_json)


@checkpoint_group.command("add")
@click.argument("source", metavar="FOLDER|ZIP", type=click.Path(exists=True, path_type=Path))
@json_option
def checkpoint_add(source: Path, as_json: bool) -> None:
    """Keep a checkpoint that was trained elsewhere as a candidate, once it was tried out."""
    settings = load_settings()
    database = opened(settings)
    added = checkpoints.add(database, open_blobs(settings), source, staging=settings.cache / "staging")
    told = checkpoint_report.described(added)
    click.echo(json.dumps(told) if as_json else f"{added.name} is a candidate")


@checkpoint_group.command("save")
@name_argument
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@json_option
def checkpoint_save(name: str, folder: Path, as_json: bool) -> None:
    """Write a checkpoint as the new folder DIR: weights.safetensors and checkpoint.json."""
    settings = load_settings()
    with opened(settings).reading() as session:
        checkpoint = checkpoints.by_name(session, name)
    checkpoints.save_to(open_blobs(settings), checkpoint, folder)
    told = {**checkpoint_report.described(checkpoint), "folder": str(folder)}
    click.echo(json.dumps(told) if as_json else f"{folder} is written")


def _tell(checkpoint: Checkpoint, promotion: Promotion, as_json: bool) -> None:
    told = {**checkpoint_report.described(checkpoint), "verdict": promotion.verdict or None}
    if as_json:
        click.echo(json.dumps(told))
        return
    click.echo(f"{checkpoint.name} captions from now on; jobs under way keep theirs")
    for sentence in promotion.verdict.get("sentences", ()):
        click.echo(sentence)
