"""The command line and the call of the API that start the same job again."""

import json
import shlex
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog.schema import Checkpoint, Collection, Job, JobKind


@dataclass(frozen=True)
class Commands:
    """Lines for a shell. The call takes its API token from the variable RECAPTION_TOKEN."""

    shell: str
    curl: str


def commands(session: Session, job: Job, *, address: str) -> Commands | None:
    """What starts a job with the settings of this one; `address` is where the dashboard answers.

    None for a kind of job that no single line starts.
    """
    if job.kind is not JobKind.CAPTION:
        return None
    named = (
        select(Collection.name, Checkpoint.name)
        .select_from(Job)
        .join(Collection, Collection.id == Job.collection_id)
        .join(Checkpoint, Checkpoint.id == Job.checkpoint_id)
    )
    collection, checkpoint = session.execute(named.where(Job.id == job.id)).one()
    return Commands(shell=_shell(job, collection, checkpoint), curl=_curl(job, checkpoint, address))


def _shell(job: Job, collection: str, checkpoint: str) -> str:
    settings = ["--mode", job.options["mode"], "--checkpoint", checkpoint, "--priority", str(job.priority)]
    # A name that begins like an option comes last, where it is none.
    named = [*settings, "--", collection] if collection.startswith("-") else [collection, *settings]
    return shlex.join(["recaption", "job", "caption", *named])


def _curl(job: Job, checkpoint: str, address: str) -> str:
    body = {
        "collection_id": job.collection_id,
        "mode": job.options["mode"],
        "checkpoint": checkpoint,
        "priority": job.priority,
    }
    call = ["curl", "-X", "POST", f"{address.rstrip('/')}/api/v1/jobs"]
    # In double quotes, unlike the rest: the shell puts the token in.
    token = '-H "Authorization: Bearer $RECAPTION_TOKEN"'
    return " ".join(
        [
            shlex.join(call),
            token,
            shlex.join(["-H", "Content-Type: application/json", "-d", json.dumps(body)]),
        ]
    )
