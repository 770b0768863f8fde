"""Train jobs in real worker processes, over each broker and database."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from catalog import checkpoints, job_control, jobs, workers
from catalog.blobs import BlobStore, open_blobs
from catalog.schema import Checkpoint, Collection, Job, JobEvent, JobState, TrainingRun
from tests.faults.processes import children
from tests.functional.installation import Installation
from tests.worker.corrected import collect, frozen, register_base, start, tiny_base

EPOCHS = 12
LONG = (
    f"training.epochs={EPOCHS}",
    "training.patience=0",
    "training.batch_size=4",
    "training.tensorboard=false",
    "training.stored_precision=float32",
)
ENDLESS = ("training.epochs=5000", *LONG[1:])


@pytest.fixture
def blobs(installation: Installation) -> BlobStore:
    return open_blobs(installation.settings)


@pytest.fixture
def harbour(installation: Installation, blobs: BlobStore, tmp_path: Path) -> tuple[int, int]:
    """The ids of a dataset and of the base that it is trained from."""
    base_id = register_base(installation.database, blobs, tiny_base(tmp_path / "base"))
    collection_id = collect(installation.database, blobs, "Harbour")
    return frozen(installation.database, blobs, collection_id, "harbour"), base_id


def run_of(installation: Installation, job_id: int) -> TrainingRun:
    with installation.database.reading() as session:
        return session.get_one(TrainingRun, job_id)


def weights_of(installation: Installation, job_id: int) -> str:
    with installation.database.reading() as session:
        checkpoint_id = session.get_one(TrainingRun, job_id).checkpoint_id
        return session.get_one(Checkpoint, checkpoint_id).weights_sha256


def descendants(pid: int) -> Iterator[int]:
    for child in children(pid):
        yield child
        yield from descendants(child)


def kill_all(pid: int) -> None:
    """SIGKILL to a process and all that it started, as when a machine loses its power."""
    for victim in [pid, *descendants(pid)]:
        os.kill(victim, signal.SIGKILL)


def trains(pid: int) -> bool:
    return any(b"train\0--data" in _command(one) for one in descendants(pid))


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def wait_for(holds: Callable[[], bool], what: str, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)


def test_a_training_whose_machine_dies_goes_on_elsewhere_and_ends_bit_by_bit_the_same(
    installation: Installation, harbour: tuple[int, int], blobs: BlobStore, tmp_path: Path
) -> None:
    shared = {
        "RECAPTION_DATABASE_URL": installation.settings.database_url,
        "RECAPTION_BROKER_URL": installation.settings.broker_url,
        "RECAPTION_BLOBS": str(installation.settings.blobs),
    }
    killed = start(installation.database, *harbour, overrides=LONG, replay=0.0)
    with installation.worker("lost", queue="train") as process:
        wait_for(lambda: run_of(installation, killed).files_sha256 is not None, "files are saved")
        kill_all(process.pid)
    assert not run_of(installation, killed).checkpoint_id
    with installation.database.writing() as session:
        workers.bury(session, "lost")
    # Another home: nothing of the first machine's disk is there.
    elsewhere = {**shared, "RECAPTION_HOME": str(tmp_path / "elsewhere")}
    if installation.settings.embedded_broker:
        del elsewhere["RECAPTION_BROKER_URL"]
    with installation.worker("other", queue="train", **elsewhere):
        assert installation.wait_for_end(killed).state is JobState.DONE
        with installation.database.reading() as session:
            told = session.scalars(select(JobEvent.action).where(JobEvent.job_id == killed)).all()
        assert "taken over" in told
        whole = start(installation.database, *harbour, overrides=LONG, replay=0.0)
        assert installation.wait_for_end(whole).state is JobState.DONE
    assert weights_of(installation, killed) == weights_of(installation, whole)
    assert len(run_of(installation, killed).epochs) == EPOCHS


def test_two_jobs_of_one_line_go_one_after_the_other_and_captions_go_on_beside_them(
    installation: Installation, harbour: tuple[int, int], blobs: BlobStore
) -> None:
    waiting = collect(installation.database, blobs, "Mountains", corrected=0, waiting=20, seed=2)
    first = start(installation.database, *harbour, overrides=ENDLESS, replay=0.0)
    second = start(installation.database, *harbour, overrides=LONG[:1] + LONG[1:], replay=0.0)
    with (
        installation.worker("one", queue="train"),
        installation.worker("two", queue="train"),
        installation.worker("captions"),
    ):
        installation.wait(first, lambda job: job.done > 0)
        with installation.database.writing() as session:
            captioning = jobs.create_caption_job(
                session,
                session.get_one(Collection, waiting),
                checkpoint=checkpoints.active(session),
                user=None,
            )
        assert installation.wait_for_end(captioning.id).done == 20
        assert installation.job(first).state is JobState.RUNNING
        assert installation.job(second).state is JobState.QUEUED
        steer(installation, first, job_control.cancel)
        assert installation.wait_for_end(second).state is JobState.DONE
    with installation.database.reading() as session:
        names = session.scalars(select(Checkpoint.name)).all()
    assert sorted(name for name in names if name.startswith("harbour")) == ["harbour-1"]


def test_a_paused_training_rests_and_goes_on_and_a_cancelled_one_leaves_no_process(
    installation: Installation, harbour: tuple[int, int]
) -> None:
    job_id = start(installation.database, *harbour, overrides=ENDLESS, replay=0.0)
    with installation.worker("one", queue="train") as process:
        installation.wait(job_id, lambda job: job.done > 1)
        steer(installation, job_id, job_control.pause)
        wait_for(lambda: not trains(process.pid), "the child has ended")
        done = installation.job(job_id).done
        assert installation.job(job_id).state is JobState.PAUSED
        steer(installation, job_id, job_control.resume)
        assert installation.wait(job_id, lambda job: job.done > done).done > done
        steer(installation, job_id, job_control.cancel)
        wait_for(lambda: not trains(process.pid), "the child has ended")
        assert installation.job(job_id).state is JobState.CANCELLED
    assert run_of(installation, job_id).checkpoint_id is None


def test_one_command_works_at_both_queues_and_the_command_line_shows_the_job(
    installation: Installation, harbour: tuple[int, int]
) -> None:
    quick = ("training.epochs=2", "training.patience=0", "training.tensorboard=false")
    arguments = ("harbour", "--from", "tiny", "--replay", "0", "--seed", "3", *quick)
    job_id = int(installation.run("job", "train", *arguments).stdout.split()[1])
    with installation.worker("both", queue="all") as process:
        assert installation.wait_until_alive(2) == ["both", "both:train"]
        job = installation.wait_for_end(job_id)
        assert (job.state, job.done, job.total) == (JobState.DONE, 2, 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    told = json.loads(installation.run("job", "show", str(job_id), "--json").stdout)
    assert (told["kind"], told["training"]["stage"]) == ("train", "done")
    assert told["training"]["checkpoint"] == "harbour-1"
    assert "recaption job train harbour@1 --from tiny --replay 0" in told["commands"]["shell"]
    refused = installation.run("job", "train", "harbour", "--from", "nobody", check=False)
    assert refused.returncode == 2
    assert "there is no checkpoint called 'nobody'" in refused.stderr


def steer(installation: Installation, job_id: int, change: Callable[..., object]) -> None:
    with installation.database.writing() as session:
        change(session, session.get_one(Job, job_id), user=None)
