"""What one working process holds: its database, its blobs and the one captioner it has loaded."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from catalog.blobs import BlobStore, open_blobs
from catalog.checkpoints import materialise
from catalog.database import Database
from catalog.queue import Queue
from catalog.schema import Checkpoint
from catalog.settings import Settings

if TYPE_CHECKING:
    from model.predictor import Predictor


class Flag(Protocol):
    """An event that the parent process sets and the child reads."""

    def is_set(self) -> bool: ...


@dataclass
class Runtime:
    """One a working process. The captioner is loaded when the first job needs it."""

    settings: Settings
    worker_id: int
    device: str
    stopping: Flag
    database: Database = field(init=False)
    blobs: BlobStore = field(init=False)
    queue: Queue = field(init=False)
    _loaded: "tuple[int, Predictor] | None" = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.database = Database(self.settings.database_url)
        self.blobs = open_blobs(self.settings)
        self.queue = Queue(self.settings)

    def predictor(self, checkpoint_id: int) -> "Predictor":
        """The captioner of a checkpoint; another one takes the place of the last.

        Raises MissingBlob when the checkpoint's bytes are gone, ModelError when they are no captioner.
        """
        if self._loaded is None or self._loaded[0] != checkpoint_id:
            # Torch is imported here, in the child that works, and never in the process that supervises.
            from model.predictor import Predictor

            self._loaded = None
            with self.database.reading() as session:
                checkpoint = session.get_one(Checkpoint, checkpoint_id)
                folder = materialise(checkpoint, self.blobs, self.settings.cache)
            self._loaded = (checkpoint_id, Predictor.load(folder, device=self.device))
        return self._loaded[1]
