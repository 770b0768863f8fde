"""An installation in a folder of its own, used through its commands, and its servers as processes."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from catalog import checkpoints, collections, jobs
from catalog.blobs import open_blobs
from catalog.database import Database
from catalog.queue import Queue
from catalog.schema import Job, JobState
from catalog.settings import load_settings, own_command
from dashboard.addresses import LOOPBACK
from dashboard.installation import wait_until_it_answers

ENDS_WITHIN = 60.0  # seconds
JOB_ENDS_WITHIN = 1800.0  # seconds
LOOK = 0.1  # seconds between two looks at a job, each of which takes a core for some milliseconds


class Installation:
    """Everything that one installation has, on SQLite and with the embedded broker."""

    def __init__(self, home: Path) -> None:
        self.environment = environment(home)
        self.settings = load_settings(self.environment)
        self.run("migrate")
        self.database = Database(self.settings.database_url)
        self.blobs = open_blobs(self.settings)

    def run(self, *arguments: str) -> str:
        """A command of ours, run to its end. Raises SystemExit with what it said when it failed."""
        done = subprocess.run(
            own_command(*arguments), capture_output=True, text=True, check=False, env=self.environment
        )
        if done.returncode:
            raise SystemExit(f"recaption {' '.join(arguments)}: {done.stderr or done.stdout}")
        return done.stdout

    @contextmanager
    def worker(self, device: str = "auto") -> Iterator[None]:
        """A worker that captions and trains while the block runs."""
        with self._process("worker", "--device", device, "--log-level", "WARNING"):
            yield

    def start_job(self, collection: str) -> int:
        """Have the photos of a collection captioned; returns the id of the job."""
        with self.database.writing() as session:
            job = jobs.create_caption_job(
                session,
                collections.by_name(session, collection),
                checkpoint=checkpoints.active(session),
                user=None,
            )
            job_id = job.id
        Queue(self.settings).wake()
        return job_id

    def job(self, job_id: int) -> Job:
        """The job as it is now."""
        with self.database.reading() as session:
            return jobs.get(session, job_id, viewer=None)

    def finish(self, job_id: int) -> None:
        """Wait for the end of a job. Raises RuntimeError where one takes too long or a photo failed."""
        deadline = time.monotonic() + JOB_ENDS_WITHIN
        while (job := self.job(job_id)).state in jobs.UNFINISHED and time.monotonic() < deadline:
            time.sleep(LOOK)
        if job.state is not JobState.DONE or job.failed:
            raise RuntimeError(
                f"job {job_id} is {job.state}, {job.done} of {job.total} photos captioned: {job.error}"
            )

    @contextmanager
    def web(self) -> Iterator[int]:
        """The dashboard, answering while the block runs; gives its port."""
        port = free_port()
        with self._process("web", "--port", str(port)):
            if not wait_until_it_answers(LOOPBACK, port):
                raise RuntimeError("the dashboard does not answer; its messages above tell why")
            yield port

    @contextmanager
    def _process(self, *arguments: str) -> Iterator[None]:
        process = subprocess.Popen(own_command(*arguments), env=self.environment, start_new_session=True)
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=ENDS_WITHIN)


def environment(home: Path) -> dict[str, str]:
    """That of an installation which knows nothing of another one, and where Python keeps what it compiled."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RECAPTION_")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**kept, "RECAPTION_HOME": str(home)}


def free_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
