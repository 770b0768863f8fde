"""Commands on jobs: start, list, show, pause, resume, cancel, and retry what failed."""

import json
import sys
import time
from collections.abc import Callable

import click

from catalog import checkpoints, collections, job_control, jobs, workers
from catalog.commands import opened
from catalog.database import Database
from catalog.job_report import described, in_a_line, in_full, pause_in_words, report
from catalog.queue import Queue, queue_of
from catalog.schema import Job, JobState
from catalog.settings import Settings, load_settings

Change = Callable[..., object]

LOOK_EVERY = 0.5  # seconds
ADDRESS = "http://127.0.0.1:8765"  # where `recaption serve` answers unless it is told otherwise

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
job_argument = click.argument("job_id", metavar="JOB", type=int)


@click.group("job")
def job_group() -> None:
    """Start jobs, watch them and steer them."""


@job_group.command("caption")
@click.argument("collection")
@click.option("--mode", type=click.Choice(jobs.MODES), default="fill", show_default=True)
@click.option("--checkpoint", metavar="NAME", help="Caption with this checkpoint instead of the active one.")
@click.option(
    "--priority",
    type=click.IntRange(*jobs.PRIORITIES),
    default=0,
    show_default=True,
    help="Higher goes first.",
)
@click.option(
    "--wait",
    is_flag=True,
    help="Return when the job has ended; exit code 1 when items failed or it was cancelled.",
)
@json_option
def job_caption(
    collection: str, mode: str, checkpoint: str | None, priority: int, wait: bool, as_json: bool
) -> None:
    """Caption the items of COLLECTION on the workers."""
    settings = load_settings()
    database = opened(settings)
    with database.writing() as session:
        named = checkpoints.by_name(session, checkpoint) if checkpoint else checkpoints.active(session)
        job = jobs.create_caption_job(
            session,
            collections.by_name(session, collection),
            checkpoint=named,
            user=None,
            mode=mode,
            priority=priority,
        )
    if not as_json:
        click.echo(f"job {job.id} captions {job.total} items")
    wake(settings, database, job)
    if wait:
        job = wait_for(database, job, bar=sys.stderr.isatty() and not as_json)
    if as_json:
        echo_json(database, job)
    elif wait:
        click.echo(
            f"job {job.id} is {job.state}: {job.done} done, {job.failed} failed, {job.skipped} skipped"
        )
    if wait and (job.state is not JobState.DONE or job.failed):
        sys.exit(1)


@job_group.command("list")
@json_option
@click.option("--after", metavar="JOB", type=int, help="Go on with the jobs before this one.")
def job_list(as_json: bool, after: int | None) -> None:
    """List the latest jobs, newest first, fifty at a time."""
    with opened(load_settings()).reading() as session:
        found = jobs.recent(session, viewer=None, after=after).rows
        told = described(session, found)
    if as_json:
        click.echo(json.dumps(told))
        return
    for job in told:
        click.echo(in_a_line(job))


@job_group.command("show")
@job_argument
@json_option
@click.option("--address", default=ADDRESS, show_default=True, help="Where the dashboard answers, for curl.")
def job_show(job_id: int, as_json: bool, address: str) -> None:
    """Show how a job stands, who works at it, what failed and why, and what happened last."""
    with opened(load_settings()).reading() as session:
        told = report(session, jobs.get(session, job_id, viewer=None), address=address)
    click.echo(json.dumps(told) if as_json else in_full(told))


@job_group.command("pause")
@job_argument
@json_option
def job_pause(job_id: int, as_json: bool) -> None:
    """Let workers finish the chunks that they hold, and begin no other one of a job."""
    _steer(job_id, job_control.pause, as_json)


@job_group.command("resume")
@job_argument
@json_option
def job_resume(job_id: int, as_json: bool) -> None:
    """Let a paused job go on."""
    _steer(job_id, job_control.resume, as_json)


@job_group.command("cancel")
@job_argument
@json_option
def job_cancel(job_id: int, as_json: bool) -> None:
    """Stop a job and keep what is done."""
    _steer(job_id, job_control.cancel, as_json)


@job_group.command("retry")
@job_argument
@json_option
def job_retry(job_id: int, as_json: bool) -> None:
    """Do the failed items of a job again, and only those."""
    _steer(job_id, job_control.retry_failed, as_json)


def _steer(job_id: int, change: Change, as_json: bool) -> None:
    settings = load_settings()
    database = opened(settings)
    with database.writing() as session:
        job = jobs.get(session, job_id, viewer=None)
        change(session, job, user=None)
    if job.state in jobs.WORKABLE:
        wake(settings, database, job)
    if as_json:
        echo_json(database, job)
    else:
        click.echo(f"job {job.id} is {job.state}")


def wake(settings: Settings, database: Database, job: Job) -> None:
    """Wake the workers of the queue that a job waits in."""
    queue = queue_of(job.kind)
    with database.reading() as session:
        awake = len(workers.alive(session, queue=queue))
    if not Queue(settings).wake(max(awake, 1), queue=queue):
        click.echo("the broker does not answer; the job stays queued until a worker finds it", err=True)


def wait_for(database: Database, job: Job, *, bar: bool, unit: str = "photo") -> Job:
    """The job once it has ended. Why it was paused meanwhile is told on stderr."""
    from tqdm import tqdm

    told = ""
    with tqdm(total=job.total, unit=unit, disable=not bar) as progress:
        while job.state in jobs.UNFINISHED:
            time.sleep(LOOK_EVERY)
            with database.reading() as session:
                job = jobs.get(session, job.id, viewer=None)
            progress.total = job.total
            progress.update(job.done + job.failed + job.skipped - progress.n)
            now = pause_in_words(job.paused_because) if job.state is JobState.PAUSED else ""
            if now and now != told:
                tqdm.write(f"job {job.id} is {now}", file=sys.stderr)
            told = now
    return job


def echo_json(database: Database, job: Job) -> None:
    with database.reading() as session:
        (told,) = described(session, [jobs.get(session, job.id, viewer=None)])
    click.echo(json.dumps(told))
