"""What became of each file of an import: in pages, and as CSV."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from catalog.exports.csv import guarded
from catalog.ingest import FileReport
from catalog.schema import ImportedFile, Job, Upload

PAGE_SIZE = 100
ROWS_AT_A_TIME = 500
COLUMNS = ("path", "status", "detail", "item")


@dataclass(frozen=True)
class ReportPage:
    """Some files of an import in the order of their reports; `after` continues, None on the last page."""

    files: Sequence[ImportedFile]
    after: int | None


@dataclass(frozen=True)
class UploadPage:
    """Some uploads of an import in the order of their beginning; `after` continues, None on the last page."""

    uploads: Sequence[Upload]
    after: int | None


def page(
    session: Session, job: Job, *, failed: bool = False, after: int | None = None, limit: int = PAGE_SIZE
) -> ReportPage:
    """Reports behind the one with the id `after`, all of them or those of files that were left out."""
    query = select(ImportedFile).where(ImportedFile.job_id == job.id, ImportedFile.id > (after or 0))
    if failed:
        query = query.where(~ImportedFile.stored)
    files = session.scalars(query.order_by(ImportedFile.id).limit(limit + 1)).all()
    return ReportPage(files[:limit], files[limit - 1].id if len(files) > limit else None)


def uploads(
    session: Session, job: Job, *, after: int | None = None, limit: int = ROWS_AT_A_TIME
) -> UploadPage:
    """How much is here of each file, for a client that goes on after a break."""
    query = select(Upload).where(Upload.job_id == job.id, Upload.id > (after or 0))
    found = session.scalars(query.order_by(Upload.id).limit(limit + 1)).all()
    return UploadPage(found[:limit], found[limit - 1].id if len(found) > limit else None)


def counts(session: Session, job: Job) -> dict[str, int]:
    """How many files have each status."""
    query = select(ImportedFile.status, func.count()).where(ImportedFile.job_id == job.id)
    return dict(session.execute(query.group_by(ImportedFile.status)).all())


class Table:
    """A CSV with a row a file, its texts guarded as in every CSV of ours."""

    def __init__(self, target: TextIO) -> None:
        self._rows = csv.writer(target)
        self._rows.writerow(COLUMNS)

    def add(self, file: ImportedFile | FileReport) -> None:
        texts = (guarded(text) for text in (file.path, file.status, file.detail))
        self._rows.writerow([*texts, file.item_id or ""])


def write_csv(session: Session, job: Job, target: TextIO) -> None:
    table = Table(target)
    for file in _all(session, job):
        table.add(file)


def _all(session: Session, job: Job) -> Iterator[ImportedFile]:
    after: int | None = 0
    while after is not None:
        some = page(session, job, after=after, limit=ROWS_AT_A_TIME)
        yield from some.files
        session.expunge_all()
        after = some.after
