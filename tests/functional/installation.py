"""An installation in a home of its own, run as its users run it."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from catalog import checkpoints, jobs, workers
from catalog.blobs import open_blobs
from catalog.database import Database, migrate
from catalog.schema import Job, JobState
from catalog.settings import Settings, child_environment, load_settings
from recaption import Installation as Installed

COMMAND = Path(sys.executable).with_name("recaption")
ENDED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


@dataclass
class Installation:
    """One installation: its settings as a process would read them, and its own handle on the database."""

    variables: dict[str, str]
    settings: Settings
    database: Database
    command: Sequence[str] = (str(COMMAND),)

    @property
    def log_folder(self) -> Path:
        return self.settings.home

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of ours to its end."""
        return subprocess.run(
            [*self.command, *arguments],
            env=child_environment(**self.variables),
            capture_output=True,
            text=True,
            timeout=180,
            check=check,
        )

    @contextmanager
    def worker(
        self, name: str = "one", device: str = "cpu", queue: str = "caption", **variables: str
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A worker in its own session, so that a test may kill it with its child."""
        log = (self.log_folder / f"worker-{name}.log").open("ab")
        process = subprocess.Popen(
            [*self.command, "worker", "--name", name, "--device", device, "--queue", queue],
            env=child_environment(**{**self.variables, **variables}),
            start_new_session=True,
            stdout=log,
            stderr=log,
        )
        try:
            yield process
        finally:
            log.close()
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)

    def job(self, job_id: int) -> Job:
        with self.database.reading() as session:
            return jobs.get(session, job_id, viewer=None)

    def wait(self, job_id: int, until: Callable[[Job], bool], seconds: float = 150.0) -> Job:
        """The job once `until` holds."""
        deadline = time.monotonic() + seconds
        while not until(job := self.job(job_id)):
            if time.monotonic() > deadline:
                logs = "\n".join(path.read_text() for path in self.log_folder.glob("*.log"))
                pytest.fail(f"job {job_id} is still {job.state} with {job.done} done; {logs[-3000:]}")
            time.sleep(0.1)
        return job

    def wait_for_end(self, job_id: int) -> Job:
        return self.wait(job_id, lambda job: job.state in ENDED)

    def wait_until_alive(self, count: int = 1, seconds: float = 90.0) -> list[str]:
        """The names of the living workers, once there are `count` of them."""
        deadline = time.monotonic() + seconds
        names: list[str] = []
        while time.monotonic() < deadline and len(names) < count:
            with self.database.reading() as session:
                names = [worker.name for worker in workers.alive(session)]
            time.sleep(0.1)
        if len(names) < count:
            pytest.fail(f"{len(names)} of {count} workers came up within {seconds:g} s")
        return names


@contextmanager
def installed(variables: dict[str, str]) -> Iterator[Installation]:
    """A migrated installation with the shipped checkpoint."""
    settings = load_settings(variables)
    settings.prepare_home()
    migrate(settings.database_url)
    database = Database(settings.database_url)
    checkpoints.ensure_starter(database, open_blobs(settings), Installed().starter)
    yield Installation(variables=variables, settings=settings, database=database)
    database.close()
