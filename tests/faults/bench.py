"""The bench: an installation whose network is a stub, whose times are short, and whose parts tests break."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from PIL import Image as Pillow
from sqlalchemy import insert, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from catalog import checkpoints, collections, jobs
from catalog.blobs import BlobStore, open_blobs
from catalog.errors import StorageFull
from catalog.queue import Queue
from catalog.schema import Collection, Image, Item, Job
from catalog.settings import child_environment
from tests.faults.processes import Processes
from tests.faults.stubbed import colour_of
from tests.functional.installation import Installation, installed

STUBBED = (sys.executable, "-P", str(Path(__file__).with_name("stubbed.py")))
PICTURES = 40  # that items share
LEASE = 3.0  # seconds
PERIOD = (1.0, 2.0)  # seconds
STUBS = {
    "RECAPTION_STUB_CHUNK": "0.05",
    "RECAPTION_STUB_LEASE": str(LEASE),
    "RECAPTION_STUB_PERIOD": "{} {}".format(*PERIOD),
    "OMP_NUM_THREADS": "1",
}
ROWS_AT_ONCE = 5000


@dataclass
class Bench(Installation):
    """An installation, and the processes that a test has started in it."""

    processes: Processes = field(kw_only=True)
    started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        self.blobs: BlobStore = open_blobs(self.settings)
        self.queue = Queue(self.settings)
        self.log_folder.mkdir(exist_ok=True)

    @property
    def log_folder(self) -> Path:
        """Beside the home, whose disk may be full."""
        return self.settings.home.with_name("logs")

    def start(self, name: str, *arguments: str, **variables: str) -> subprocess.Popen[bytes]:
        """Run a command of ours under a name, until `stop`, `kill` or the end of the test."""
        process = self.processes.start(
            [*self.command, *arguments],
            log=self.log(name),
            env=child_environment(**{**self.variables, **variables}),
        )
        self.started[name] = process
        return process

    def start_worker(self, name: str = "one", **variables: str) -> subprocess.Popen[bytes]:
        work = ("--queue", "caption", "--device", "cpu")
        return self.start(name, "worker", "--name", name, *work, **variables)

    def start_workers(self, count: int) -> list[str]:
        """Start so many workers, and wait until they announced themselves."""
        names = [f"worker-{number}" for number in range(count)]
        for name in names:
            self.start_worker(name)
        self.wait_until_alive(count, seconds=60)
        return names

    def kill(self, name: str) -> None:
        """SIGKILL to a process and its children."""
        self.processes.kill(self.started.pop(name))

    def stop(self, *names: str, seconds: float = 30.0) -> list[int]:
        """SIGTERM to all of them at once; returns the statuses with which they ended."""
        for name in names:
            self.started[name].send_signal(signal.SIGTERM)
        return [self.processes.wait(self.started.pop(name), seconds) for name in names]

    def close(self) -> None:
        for name in list(self.started):
            self.kill(name)
        self.queue.app.close()

    def log(self, name: str) -> Path:
        return self.log_folder / f"{name}.log"

    def logs(self) -> str:
        """All that the processes of this installation have said."""
        return "\n".join(path.read_text(errors="replace") for path in self.log_folder.glob("*.log"))

    def job(self, job_id: int) -> Job:
        """The job, also when the database is away for a moment."""
        for _ in range(100):
            try:
                return super().job(job_id)
            except (DBAPIError, StorageFull):
                time.sleep(0.2)
        return super().job(job_id)

    def fill(self, count: int, special: Mapping[int, int] | None = None, name: str = "Harbour") -> int:
        """Make a collection of so many items; `special` gives positions their pictures. Returns its id."""
        special = special or {}
        numbers = [special.get(position, position % PICTURES) for position in range(count)]
        with self.database.writing() as session:
            collection = collections.create(session, name=name, owner=None)
            pictures = self._store(session, set(numbers))
            rows = [
                {
                    "collection_id": collection.id,
                    "image_id": pictures[number],
                    "path": f"{position:06}.jpg",
                    "external_id": str(number),
                    "position": position,
                }
                for position, number in enumerate(numbers)
            ]
            for start in range(0, count, ROWS_AT_ONCE):
                session.execute(insert(Item), rows[start : start + ROWS_AT_ONCE])
            return collection.id

    def submit(self, collection_id: int, *, wake: bool = True, mode: str = "fill") -> int:
        """Start a caption job as the command line does; returns its id."""
        with self.database.writing() as session:
            job = jobs.create_caption_job(
                session,
                session.get_one(Collection, collection_id),
                checkpoint=checkpoints.active(session),
                user=None,
                mode=mode,
            )
        if wake:
            self.queue.wake()
        return job.id

    def wait_for_some(self, job_id: int, done: int = 1, seconds: float = 90.0) -> Job:
        """The job once so many of its items are done."""
        return self.wait(job_id, lambda job: job.done >= done, seconds)

    def picture(self, number: int) -> str:
        """The key of the blob of a picture."""
        buffer = BytesIO()
        Pillow.new("RGB", (32, 32), colour_of(number)).save(buffer, "JPEG", quality=95)
        return self.blobs.put(buffer.getvalue())

    def _store(self, session: Session, numbers: Iterable[int]) -> dict[int, int]:
        """The ids of the images of pictures, which are made where they are not there yet."""
        ids = {}
        for number in sorted(numbers):
            key = self.picture(number)
            image = session.scalar(select(Image).where(Image.sha256 == key))
            if image is None:
                image = Image(sha256=key, rendition=key, format="JPEG", bytes=600, width=32, height=32)
                session.add(image)
                session.flush()
            ids[number] = image.id
        return ids


@contextmanager
def bench(variables: Mapping[str, str], processes: Processes) -> Iterator[Bench]:
    """A migrated installation, whose processes end with the block."""
    with installed({**STUBS, **variables}) as plain:
        made = Bench(plain.variables, plain.settings, plain.database, command=STUBBED, processes=processes)
        try:
            yield made
        finally:
            made.close()


def pause_at_random(low: float, high: float) -> None:
    """Let a random time pass, so that runs together try many moments."""
    time.sleep(random.uniform(low, high))
