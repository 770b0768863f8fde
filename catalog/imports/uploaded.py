"""What was uploaded, imported: put together from its parts, each file's report kept as it comes."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy import select, update

from catalog.blobs import BlobStore
from catalog.database import Database
from catalog.errors import (
    InvalidInput,
    MissingBlob,
    NotFound,
    StaleToken,
    StorageFull,
    StorageUnavailable,
)
from catalog.imports.arrivals import Arrival, arriving, is_zip, with_captions
from catalog.imports.claims import Held, claim, finish, prove, record, recorded
from catalog.imports.staging import staged
from catalog.ingest import FileReport, Incoming, ingest, remove_blobs
from catalog.schema import Job, Upload, UploadPart
from pictures.errors import CorruptPicture, PictureError, RefusedPicture
from pictures.sandbox import DecodingProcess

Arrived = TypeVar("Arrived", Incoming, FileReport)

RENEWED = 15.0  # seconds between two renewals while a large file is put together
ATTEMPTS = 3  # without a report, as of a file that ends whichever process reads it
GIVEN_UP = f"its import broke off {ATTEMPTS} times; the server's log says why"


@dataclass(frozen=True)
class Uploaded(Incoming):
    """An uploaded file; its parts are put together while somebody reads it."""

    upload: Upload = field(kw_only=True, repr=False, compare=False)
    importing: "Importing" = field(kw_only=True, repr=False, compare=False)

    def local(self) -> AbstractContextManager[Path]:
        put_together = partial(self.importing.put_together, self.upload)
        return staged(self.path, self.importing.staging, put_together)


def import_next(database: Database, blobs: BlobStore, decoder: DecodingProcess, staging: Path) -> bool:
    """Import the next upload that waits, or all of an import whose files belong together; False for none.

    What was recorded before a crash is not done again. Raises what databases and blob stores raise; then the
    next turn goes on.
    """
    staging.mkdir(parents=True, exist_ok=True, mode=0o700)
    with database.writing() as session:
        held = claim(session)
    if held is None:
        return False
    # When it was cancelled, deleted or taken over by another process, nothing is left to do here.
    with suppress(StaleToken, NotFound):
        try:
            Importing(database, blobs, decoder, staging, held).run()
        except (StorageFull, StorageUnavailable):
            # No file is to blame: however long that lasts, this was no attempt.
            with database.writing() as session:
                prove(session, held, attempts=held.attempts - 1)
            raise
    return True


@dataclass(frozen=True)
class Importing:
    """One claim on its way from parts to items."""

    database: Database
    blobs: BlobStore
    decoder: DecodingProcess
    staging: Path
    held: Held

    def run(self) -> None:
        for upload_id, report in self._reports():
            with self.database.writing() as session:
                record(session, self.held, upload_id, report)
        with self.database.writing() as session:
            keys = finish(session, self.held)
        remove_blobs(self.database, self.blobs, keys)

    def put_together(self, upload: Upload, file: Path) -> None:
        """Write an upload's bytes to a file. Raises CorruptPicture where some are gone."""
        query = select(UploadPart.sha256).where(UploadPart.upload_id == upload.id).order_by(UploadPart.offset)
        with self.database.reading() as session:
            keys = session.scalars(query).all()
        with file.open("xb") as target:
            for key in keys:
                self._renew()
                target.write(self._part(upload, key))
        if file.stat().st_size != upload.length:
            raise CorruptPicture(f"{upload.path} is no longer whole; upload it again")

    def _part(self, upload: Upload, key: str) -> bytes:
        try:
            return self.blobs.read(key)
        except MissingBlob as error:
            raise CorruptPicture(f"{upload.path} is no longer whole; upload it again: {error}") from error

    def _renew(self) -> None:
        if time.monotonic() - self.held.renewed > RENEWED:
            with self.database.writing() as session:
                prove(session, self.held)

    def _reports(self) -> Iterator[tuple[int, FileReport]]:
        """What becomes of each file that has no report yet, with the upload that it came in."""
        if self.held.attempts > ATTEMPTS:
            for upload in self.held.uploads:
                yield upload.id, FileReport(upload.path, RefusedPicture.reason, None, GIVEN_UP)
            return
        with self.database.reading() as session:
            known = recorded(session, self.held)
        files = [
            Uploaded(Path(upload.key), upload.path, upload=upload, importing=self)
            for upload in self.held.uploads
        ]
        loose = [file for file in files if not is_zip(Path(file.path))]
        for zipped in (file for file in files if is_zip(Path(file.path))):
            for report in self._unpacked(zipped, known):
                yield zipped.upload.id, report
        ids = {file.path: file.upload.id for file in reversed(loose)}
        for report in self._imported(_arrival(loose), known) if loose else ():
            yield ids.get(report.path, loose[0].upload.id), report

    def _unpacked(self, file: Uploaded, known: Counter[str]) -> Iterator[FileReport]:
        try:
            with file.local() as archive:
                arrival = arriving(archive, staging=self.staging)
                if not known:
                    self._expect(len(arrival.files) + len(arrival.left_out) - 1)
                yield from self._imported(arrival, known)
        except (InvalidInput, PictureError) as error:
            yield FileReport(file.path, RefusedPicture.reason, None, str(error))

    def _imported(self, arrival: Arrival, known: Counter[str]) -> Iterator[FileReport]:
        yield from _new(arrival.left_out, known)
        files = (replace(file, position=self._position()) for file in _new(arrival.files, known))
        yield from ingest(
            self.database, self.blobs, self.decoder, self.held.collection_id, files, user=self.held.user
        )

    def _position(self) -> int | None:
        """Files stand in the order in which they were announced, whichever is here first."""
        return None if self.held.together else self.held.place + self.held.uploads[0].id

    def _expect(self, more: int) -> None:
        """A zip counted as one file until it was opened."""
        with self.database.writing() as session:
            prove(session, self.held)
            session.execute(update(Job).where(Job.id == self.held.job_id).values(total=Job.total + more))


def _arrival(files: Sequence[Uploaded]) -> Arrival:
    if len(files) == 1:
        return Arrival(files, [])
    try:
        return with_captions(files)
    except InvalidInput as error:
        return Arrival([], [FileReport(file.path, RefusedPicture.reason, None, str(error)) for file in files])


def _new(files: Iterable[Arrived], known: Counter[str]) -> Iterator[Arrived]:
    """Those that were not recorded by an attempt before this one."""
    for file in files:
        if known[file.path]:
            known[file.path] -= 1
        else:
            yield file
