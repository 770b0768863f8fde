"""The command that starts a train job."""

import sys

import click

from catalog import checkpoints, datasets, jobs, training_jobs
from catalog.commands import opened
from catalog.job_group import echo_json, job_group, json_option, wait_for, wake
from catalog.schema import JobState, Origin
from catalog.settings import load_settings


@job_group.command("train")
@click.argument("dataset")
@click.option("--recipe", metavar="NAME", help="Train by this recipe; without --from, from scratch.")
@click.option(
    "--from", "base", metavar="CHECKPOINT", help="Go on from this checkpoint.  [default: the active one]"
)
@click.option(
    "--replay",
    type=click.FloatRange(0.0, training_jobs.MOST_REPLAY),
    default=training_jobs.REPLAY,
    show_default=True,
    help="Share of photos of earlier datasets, so that little is forgotten.",
)
@click.option(
    "--origin",
    "origins",
    type=click.Choice([origin.value for origin in Origin]),
    multiple=True,
    help="Learn from captions of this origin; may be given again.  [default: all]",
)
@click.option(
    "--language", metavar="TAG", help="Learn from captions of this language alone.  [default: the commonest]"
)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=1, show_default=True)
@click.option("--promote", is_flag=True, help="Caption with what was trained if it is measurably better.")
@click.option("--priority", type=click.IntRange(*jobs.PRIORITIES), default=0, show_default=True)
@click.option("--wait", is_flag=True, help="Return when the job has ended; exit code 1 when it failed.")
@click.argument("overrides", nargs=-1, metavar="[TABLE.KEY=VALUE]...")
@json_option
def job_train(
    dataset: str,
    recipe: str | None,
    base: str | None,
    replay: float,
    origins: tuple[str, ...],
    language: str | None,
    seed: int,
    promote: bool,
    priority: int,
    wait: bool,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Train on DATASET, the newest version of that name or NAME@3, on the workers."""
    settings = load_settings()
    database = opened(settings)
    with database.writing() as session:
        frozen = datasets.by_name(session, dataset)
        parent = checkpoints.by_name(session, base) if base else None
        job = training_jobs.create(
            session,
            frozen,
            base=parent or (None if recipe else checkpoints.active(session)),
            recipe=recipe,
            user=None,
            replay=replay,
            origins=[Origin(origin) for origin in origins],
            language=language,
            seed=seed,
            promote=promote,
            overrides=overrides,
            priority=priority,
        )
    if not as_json:
        click.echo(f"job {job.id} trains on {datasets.address(frozen)}")
    wake(settings, database, job)
    if wait:
        job = wait_for(database, job, unit="epoch", bar=sys.stderr.isatty() and not as_json)
    if as_json:
        echo_json(database, job)
    elif wait:
        click.echo(f"job {job.id} is {job.state}" + (f": {job.error}" if job.error else ""))
    if wait and job.state is not JobState.DONE:
        sys.exit(1)
