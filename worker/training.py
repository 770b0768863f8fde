"""Training: claim a train job, prepare its photos, train in a child process, publish, measure, promote."""

import fcntl
import logging
import math
import shutil
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from sqlalchemy import select

from catalog import job_events, promotions, training_files, training_runs
from catalog.blobs import BlobStore
from catalog.database import AWAY, lock_content
from catalog.errors import CatalogError, DatabaseFull, StaleToken, StorageFull, StorageUnavailable
from catalog.ingest import remove_blobs
from catalog.jobs import UNFINISHED
from catalog.schema import Checkpoint, Job, JobState
from catalog.training_runs import HeldRun, Told
from worker import captioning, measuring, training_data
from worker.children import ChildFailed, Children, Interrupted
from worker.runtime import Runtime

log = logging.getLogger(__name__)

SAVING_SHARE = 10  # times as long as saving took pass before the files are saved again


def drain(runtime: Runtime) -> None:
    """Do one train job after the other until none waits that may be done now."""
    sweep(runtime)
    while not runtime.stopping.is_set():
        try:
            with runtime.database.writing() as session:
                held = training_runs.claim(session, worker_id=runtime.worker_id)
            if held is None:
                runtime.setbacks.end()
                return
            _do(runtime, held)
        except DatabaseFull as error:
            captioning.pause_all(runtime, str(error))
            return
        except StorageUnavailable as error:
            log.warning("%s; the reconciler will try again", error)
            runtime.trouble.say(str(error))
            return


def work(runtime: Runtime, held: HeldRun) -> None:
    """See a job through, from wherever it stands."""
    children = _children(runtime, held)
    candidate_id = held.candidate_id
    if candidate_id is None:
        candidate_id = _publish(children, _train(children))
    _measure(children, candidate_id)
    if held.options.get("promote"):
        _promote(children, candidate_id)
    runtime.database.insist(lambda session: training_runs.finish(session, held, "done"))
    shutil.rmtree(children.folder, ignore_errors=True)


def sweep(runtime: Runtime) -> None:
    """Remove what this machine keeps of jobs that need it no more: those that are done or cancelled."""
    for folder in _folder(runtime).glob("job-*"):
        with runtime.database.reading() as session:
            job = session.get(Job, int(folder.name.removeprefix("job-")))
            wanted = job is not None and job.state in (*UNFINISHED, JobState.FAILED)
        if not wanted:
            shutil.rmtree(folder, ignore_errors=True)
    with runtime.database.writing() as session:
        left = training_runs.forget_files_of_cancelled(session)
    remove_blobs(runtime.database, runtime.blobs, left)


def _do(runtime: Runtime, held: HeldRun) -> None:
    """Do a job, or give it back when this has to wait; a job that cannot be done fails with the reason."""
    try:
        work(runtime, held)
        runtime.trouble.say(None)
    except StaleToken as error:
        log.info("%s; its training ends here", error)
    except Interrupted as error:
        log.info("job %d rests: %s", held.job_id, error)
        _give_back(runtime, held)
    except (StorageUnavailable, DatabaseFull, *AWAY):
        _give_back(runtime, held)
        raise
    except (CatalogError, ChildFailed) as error:
        _fail(runtime, held, str(error))
    except Exception as error:
        log.exception("job %d failed in a way that nobody foresaw", held.job_id)
        _fail(runtime, held, f"{type(error).__name__}: {error}", details=traceback.format_exc())
    runtime.setbacks.end()


def _give_back(runtime: Runtime, held: HeldRun) -> None:
    try:
        with suppress(StaleToken), runtime.database.writing() as session:
            training_runs.release(session, held)
    except (StorageFull, *AWAY):
        runtime.holds_nothing = False


def _fail(runtime: Runtime, held: HeldRun, error: str, *, details: str | None = None) -> None:
    with suppress(StaleToken):
        runtime.database.insist(lambda session: training_runs.fail(session, held, error, details=details))


def _folder(runtime: Runtime) -> Path:
    return runtime.settings.home / "training"


def _children(runtime: Runtime, held: HeldRun) -> Children:
    folder = _folder(runtime) / f"job-{held.job_id}"
    return Children(runtime=runtime, held=held, folder=folder, output=folder / "output")


def _train(children: Children) -> Path:
    """Train, or go on with it; returns the folder of the checkpoint."""
    runtime, held = children.runtime, children.held
    _enter(children, "preparing")
    children.folder.mkdir(parents=True, exist_ok=True)
    begun = children.folder / training_files.STATE
    if held.files_sha256 and not begun.exists():
        saved = partial(training_files.restore, runtime.blobs, held.files_sha256, children.folder)
        children.meanwhile(saved)
    data = training_data.prepare(children)
    command = ["train", "--data", str(data), "--output", str(children.output), "--device", runtime.device]
    command += ["--cache", str(runtime.settings.cache / "features")]
    command += ["--cache-size", str(runtime.settings.feature_cache_gb)]
    if base := training_data.base_folder(children):
        command += ["--from", str(base)]
    if recipe := held.options["recipe"]:
        command += ["--recipe", recipe]
    if begun.exists():
        command += ["--resume"]
    saving = _Saving(children)
    children.after_look = saving.after_look
    children.wait_until(lambda: _is_free(children.output / "training" / "lock"))
    _enter(children, "training")
    try:
        children.run([*command, "--", *held.options["overrides"], f"training.seed={held.options['seed']}"])
    except Interrupted:
        saving.save(training_files.save)
        raise
    finally:
        children.after_look = _nothing
    return children.output


def _nothing(told: Told | None) -> None:
    pass


def _publish(children: Children, folder: Path) -> int:
    """Register what was trained; of its files, the log and TensorBoard's stay for people."""
    runtime, held = children.runtime, children.held
    _enter(children, "publishing")
    publish = partial(training_runs.publish, runtime.database, runtime.blobs, held, folder)
    candidate_id = children.meanwhile(publish)
    _keep(children, training_files.save_log(runtime.blobs, children.folder))
    return candidate_id


def _measure(children: Children, candidate_id: int) -> None:
    runtime, held = children.runtime, children.held
    _enter(children, "measuring")

    def say(text: str) -> None:
        with runtime.database.writing() as session:
            training_runs.renew(session, held)
            job_events.append(session, held.job_id, "measured", text)

    measuring.measure(
        runtime,
        job_id=held.job_id,
        candidate_id=candidate_id,
        dataset_id=held.dataset_id,
        folder=children.folder / "measuring",
        run=children.run,
        say=say,
        look=children.look,
    )


def _promote(children: Children, candidate_id: int) -> None:
    with children.runtime.database.writing() as session:
        training_runs.renew(session, children.held)
        job = session.execute(select(Job).where(Job.id == children.held.job_id)).scalar_one()
        promotions.promote_if_better(session, session.get_one(Checkpoint, candidate_id), job)


def _enter(children: Children, stage: str) -> None:
    with children.runtime.database.writing() as session:
        training_runs.enter(session, children.held, stage)


def _keep(children: Children, sha256: str) -> None:
    """Keep files as the newest of the run, and remove those before where nothing else needs them.

    Raises StaleToken when the job is no longer ours; then these are removed instead.
    """
    runtime = children.runtime
    try:
        with runtime.database.writing() as session:
            lock_content(session, sha256)
            # Who lost the job over the same bytes may have removed them; those that are saved next are kept.
            there = runtime.blobs.exists(sha256)
            before = training_runs.keep_files(session, children.held, sha256) if there else None
    except StaleToken:
        remove_blobs(runtime.database, runtime.blobs, [sha256])
        raise
    remove_blobs(runtime.database, runtime.blobs, [before] if before else [])


def _is_free(lock: Path) -> bool:
    """Whether no process trains here: one whose worker was killed saves its state before it ends."""
    if not lock.exists():
        return True
    with lock.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@dataclass
class _Saving:
    """Saves the files of a training after its epochs, so that another host can go on with it."""

    children: Children
    epochs: int = field(default=-1)
    due: float = 0.0

    def after_look(self, told: Told | None) -> None:
        done = len(told.epochs) if told else 0
        if done > max(0, self.epochs) and time.monotonic() >= self.due:
            # Looks go on while files are saved, and begin no second time.
            self.epochs, self.due = done, math.inf
            self.save(lambda *files: self.children.meanwhile(partial(training_files.save, *files)))

    def save(self, save: Callable[[BlobStore, Path], str | None]) -> None:
        """Save what there is; a storage that is away delays no training."""
        began, children = time.monotonic(), self.children
        with suppress(StorageUnavailable):
            if sha256 := save(children.runtime.blobs, children.folder):
                _keep(children, sha256)
        self.due = time.monotonic() + SAVING_SHARE * (time.monotonic() - began)
