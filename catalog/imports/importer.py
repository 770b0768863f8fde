"""The importer: a thread of every web process that imports what was uploaded, and collects what expired."""

import logging
import threading
import time
from pathlib import Path

from catalog.blobs import BlobStore
from catalog.database import Database
from catalog.imports.staging import sweep
from catalog.imports.uploaded import import_next
from catalog.uploads import expire
from pictures.sandbox import DecodingProcess

log = logging.getLogger(__name__)

PERIOD = 10.0  # seconds between two looks for what another process left behind
TIDIED = 60.0  # seconds


class Importer:
    """Imports for as long as its process lives; `wake` tells it that a file is here."""

    def __init__(self, database: Database, blobs: BlobStore, *, staging: Path, max_pixels: int) -> None:
        self._database = database
        self._blobs = blobs
        self._staging = staging
        self._max_pixels = max_pixels
        self._woken = threading.Event()
        self._tidied = float("-inf")
        self._thread = threading.Thread(target=self._run, name="importer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._woken.set()

    def import_all(self, decoder: DecodingProcess) -> bool:
        """Import whatever waits; returns whether anything did."""
        imported = False
        while import_next(self._database, self._blobs, decoder, self._staging):
            imported = True
        return imported

    def tidy(self) -> None:
        """Collect what expired and what killed processes left behind, now and then."""
        if time.monotonic() - self._tidied > TIDIED:
            expire(self._database, self._blobs)
            sweep(self._staging)
            self._tidied = time.monotonic()

    def _run(self) -> None:
        while True:
            # The decoder's child is started for the first file and ends when no more come.
            with DecodingProcess(max_pixels=self._max_pixels) as decoder:
                while self._look(decoder):
                    self._woken.wait(PERIOD)
            self._woken.wait(PERIOD)

    def _look(self, decoder: DecodingProcess) -> bool:
        self._woken.clear()
        try:
            self.tidy()
            return self.import_all(decoder)
        except Exception as error:
            # A full disk or a database that is away: what waits is tried again at the next look.
            log.warning("an import could not go on, trying again: %s", error, exc_info=True)
            return False
