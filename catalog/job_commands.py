"""The command line and the call of the API that start the same job again."""

import json
import shlex
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog.schema import Checkpoint, Collection, Dataset, Job, JobKind, TrainingRun


@dataclass(frozen=True)
class Commands:
    """Lines for a shell. The call takes its API token from the variable RECAPTION_TOKEN."""

    shell: str
    curl: str


def commands(session: Session, job: Job, *, address: str) -> Commands | None:
    """What starts a job with the settings of this one; `address` is where the dashboard answers.

    None for a kind of job that no single line starts.
    """
    if job.kind is JobKind.TRAIN:
        return _training(session, job, address)
    if job.kind is not JobKind.CAPTION:
        return None
    named = (
        select(Collection.name, Checkpoint.name)
        .select_from(Job)
        .join(Collection, Collection.id == Job.collection_id)
        .join(Checkpoint, Checkpoint.id == Job.checkpoint_id)
    )
    collection, checkpoint = session.execute(named.where(Job.id == job.id)).one()
    body = {
        "collection_id": job.collection_id,
        "mode": job.options["mode"],
        "checkpoint": checkpoint,
        "priority": job.priority,
    }
    return Commands(
        shell=_shell(job, collection, checkpoint), curl=_curl(f"{address.rstrip('/')}/api/v1/jobs", body)
    )


def _training(session: Session, job: Job, address: str) -> Commands | None:
    """What starts the same training; None for a job that only measures."""
    named = (
        select(Dataset, Checkpoint.name)
        .join(TrainingRun, TrainingRun.dataset_id == Dataset.id)
        .join(Job, Job.id == TrainingRun.job_id)
        .outerjoin(Checkpoint, Checkpoint.id == Job.checkpoint_id)
        .where(Job.id == job.id)
    )
    row = session.execute(named).first()
    if row is None:
        return None
    dataset, base = row
    asked = ("recipe", "replay", "origins", "seed", "promote")
    body = {"dataset_id": dataset.id, "checkpoint": base} | {
        name: job.options[name] for name in asked if job.options[name] not in (None, [], False)
    }
    call = _curl(f"{address.rstrip('/')}/api/v1/training-jobs", body)
    return Commands(shell=_training_shell(job, f"{dataset.name}@{dataset.version}", base), curl=call)


def _training_shell(job: Job, dataset: str, base: str | None) -> str:
    options = job.options
    settings = ["--from", base] if base else []
    settings += ["--recipe", options["recipe"]] if options["recipe"] else []
    settings += ["--replay", f"{options['replay']:g}"] if base else []
    settings += [part for origin in options["origins"] or () for part in ("--origin", origin)]
    settings += ["--seed", str(options["seed"]), *(["--promote"] if options["promote"] else [])]
    settings += ["--priority", str(job.priority)]
    return shlex.join(["recaption", "job", "train", *_behind(dataset, settings), *options["overrides"]])


def _behind(name: str, settings: list[str]) -> list[str]:
    """A name with settings; one that begins like an option comes last, where it is none."""
    return [*settings, "--", name] if name.startswith("-") else [name, *settings]


def _shell(job: Job, collection: str, checkpoint: str) -> str:
    settings = ["--mode", job.options["mode"], "--checkpoint", checkpoint, "--priority", str(job.priority)]
    return shlex.join(["recaption", "job", "caption", *_behind(collection, settings)])


def _curl(address: str, body: dict[str, Any]) -> str:
    call = ["curl", "-X", "POST", address]
    # In double quotes, unlike the rest: the shell puts the token in.
    token = '-H "Authorization: Bearer $RECAPTION_TOKEN"'
    return " ".join(
        [
            shlex.join(call),
            token,
            shlex.join(["-H", "Content-Type: application/json", "-d", json.dumps(body)]),
        ]
    )
