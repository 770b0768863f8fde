"""What one working process holds: its database, its blobs and the one captioner it has loaded."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from catalog import workers
from catalog.blobs import BlobStore, open_blobs
from catalog.checkpoints import materialise
from catalog.database import AWAY, Database
from catalog.errors import StorageFull
from catalog.queue import CAPTION_QUEUE, Queue
from catalog.schema import Checkpoint
from catalog.settings import Settings
from catalog.space import room_in
from worker.shared import Flag, Message, Setbacks

if TYPE_CHECKING:
    from model.predictor import Predictor


@dataclass
class Runtime:
    """One a working process, of one queue. The captioner is loaded when the first job needs it.

    `holds_nothing` is false while the database did not hear that a chunk was given back.
    """

    settings: Settings
    worker_id: int
    name: str
    device: str
    stopping: Flag
    work_queue: str = CAPTION_QUEUE
    setbacks: Setbacks = field(default_factory=Setbacks)
    trouble: Message = field(default_factory=Message)
    holds_nothing: bool = field(init=False, default=True)
    database: Database = field(init=False)
    blobs: BlobStore = field(init=False)
    queue: Queue = field(init=False)
    _loaded: "tuple[int, Predictor] | None" = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.database = Database(self.settings.database_url)
        self.blobs = open_blobs(self.settings)
        self.queue = Queue(self.settings)

    def give_back(self) -> None:
        """Let go of all that waits for its storage or for another process, so that none of it is charged."""
        try:
            with self.database.writing() as session:
                workers.release_all(session, self.worker_id)
        except (StorageFull, *AWAY):
            # A database that is full or away cannot even write this.
            self.holds_nothing = False

    def catch_up(self) -> None:
        """Give back what the database did not hear of, before anybody is charged for it."""
        if not self.holds_nothing:
            with self.database.writing() as session:
                workers.release_all(session, self.worker_id)
            self.holds_nothing = True

    def predictor(self, checkpoint_id: int) -> "Predictor":
        """The captioner of a checkpoint; another one takes the place of the last.

        Raises MissingBlob when the checkpoint's bytes are gone, ModelError when they are no captioner, and
        StorageFull when this machine has no room for it.
        """
        if self._loaded is None or self._loaded[0] != checkpoint_id:
            # Torch is imported here, in the child that works, and never in the process that supervises.
            from model.predictor import Predictor

            self._loaded = None
            with self.database.reading() as session:
                checkpoint = session.get_one(Checkpoint, checkpoint_id)
                with room_in(self.settings.cache):
                    folder = materialise(checkpoint, self.blobs, self.settings.cache)
            self._loaded = (checkpoint_id, Predictor.load(folder, device=self.device, precision="auto"))
        return self._loaded[1]
