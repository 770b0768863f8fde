"""The doctor: finds what crashes, full disks and stray hands left behind, and repairs what it can."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from catalog import datasets, originals
from catalog.blobs import BlobStore
from catalog.captions import derived_doubt, derived_review_state, refresh_review_state
from catalog.collections import miscounted, recount, used_blobs
from catalog.database import Database
from catalog.errors import MissingBlob
from catalog.ingest import remove_blobs
from catalog.jobs import UNFINISHED
from catalog.schema import (
    Checkpoint,
    Chunk,
    ChunkState,
    Dataset,
    DatasetImage,
    DatasetKind,
    Evaluation,
    Image,
    Item,
    Job,
    JobItem,
    JobItemState,
    JobKind,
    JobState,
    Split,
    TrainingRun,
    utc_now,
)
from pictures.errors import PictureError
from pictures.intake import dhash_of
from pictures.sandbox import DecodingProcess

Row = TypeVar("Row")

ROWS_AT_A_TIME = 500
SAME_DOUBT = 1e-9  # two ways to round the same number differ by less
# A blob without a row may belong to an import that is about to write the row.
ORPHAN_AGE = 3600.0  # seconds


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be, and what helps, or has helped where it is `repaired`."""

    problem: str
    remedy: str
    repaired: bool = False


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Looks at blobs, jobs and review states. `every_byte` reads all blobs, which takes its time."""

    database: Database
    blobs: BlobStore
    decoder: DecodingProcess
    repair: bool = False
    every_byte: bool = True

    def findings(self) -> Iterator[Finding]:
        """What is wrong, each repaired as it is found where `repair` says so."""
        yield from self._pictures()
        yield from self._hashes()
        yield from self._checkpoints()
        yield from self._manifests()
        yield from self._measured()
        yield from self._trainings()
        yield from self._golden_splits()
        yield from self._orphans()
        yield from self._jobs()
        yield from self._review_states()
        yield from self._item_counts()

    def _pictures(self) -> Iterator[Finding]:
        after = 0
        while images := self._images_behind(after):
            for image in images:
                yield from self._picture(image)
            after = images[-1].id

    def _images_behind(self, image_id: int) -> Sequence[Image]:
        query = select(Image).where(Image.id > image_id).order_by(Image.id).limit(ROWS_AT_A_TIME)
        with self.database.reading() as session:
            return session.scalars(query).all()

    def _picture(self, image: Image) -> Iterator[Finding]:
        of_original = self._trouble(image.sha256) if image.stored else None
        of_rendition = self._trouble(image.rendition)
        if not image.stored:
            yield from self._references(image)
        # Somebody may have deleted the picture since its row was read.
        if not (of_original or of_rendition) or (name := self._name(image)) is None:
            return
        if of_original:
            remedy = "restore it from a backup, or import the picture again"
            yield self._set_aside(image.sha256, f"the original of {name} {of_original}", remedy)
        else:
            yield self._made_again(image, f"the rendition of {name} {of_rendition}")

    def _references(self, image: Image) -> Iterator[Finding]:
        """Files that hold the original, and were left where they are, but are no longer there or the same."""
        query = (
            select(Item.id, Item.path, Item.reference)
            .join(Image, Image.id == Item.image_id)
            .where(Image.id == image.id, ~Image.stored, Item.reference.is_not(None))
            .order_by(Item.id)
        )
        for item_id, path, reference in self._rows(query):
            trouble = originals.trouble(reference, image, every_byte=self.every_byte)
            # It may have been deleted, stored or moved since its row was read.
            if trouble and self._rows(query.where(Item.id == item_id, Item.reference == reference)):
                problem = f"the original of {path} (item {item_id}) was left at {reference}, and it {trouble}"
                yield Finding(problem, originals.REMEDY)

    def _rows(self, query: Select[*tuple[Any, ...]]) -> Sequence[Any]:
        with self.database.reading() as session:
            return session.execute(query).all()

    def _trouble(self, key: str) -> str | None:
        """What is wrong with a blob, if anything."""
        if not self.blobs.exists(key):
            return "is missing"
        return "is damaged" if self.every_byte and not self.blobs.is_whole(key) else None

    def _name(self, image: Image) -> str | None:
        """A picture by the path of its first item, if it has one; None when the picture is gone."""
        with self.database.reading() as session:
            first = select(Item.path).where(Item.image_id == Image.id).order_by(Item.id).limit(1)
            row = session.execute(select(first.scalar_subquery()).where(Image.id == image.id)).first()
        return f"{row[0] or 'a picture that no item has'} ({image.sha256[:12]})" if row else None

    def _set_aside(self, key: str, problem: str, remedy: str) -> Finding:
        """Of damaged bytes nothing is thrown away, but the place is free for good ones."""
        if self.repair and self.blobs.exists(key):
            remedy = f"its bytes are kept as {self.blobs.set_aside(key)}; {remedy}"
        return Finding(problem, remedy)

    def _made_again(self, image: Image, problem: str) -> Finding:
        if not self.repair:
            return self._mended(problem, "made again from the original")
        try:
            with self.database.reading() as session:
                held = originals.local_file(session, self.blobs, image)
            with held as source:
                rendition = self.decoder.measure(source).rendition
        except (PictureError, MissingBlob) as error:
            return Finding(problem, f"it cannot be made again: {error}")
        if self.blobs.exists(image.rendition):
            self.blobs.set_aside(image.rendition)
        with self.database.writing() as session:
            key = self.blobs.put(rendition)
            session.execute(update(Image).where(Image.id == image.id).values(rendition=key))
        return self._mended(problem, "made again from the original")

    def _hashes(self) -> Iterator[Finding]:
        """Pictures from before there were hashes; one finding for all of them."""
        missing = computed = after = 0
        query = select(Image.id, Image.rendition).where(Image.dhash.is_(None)).order_by(Image.id)
        while True:
            with self.database.reading() as session:
                rows = session.execute(query.where(Image.id > after).limit(ROWS_AT_A_TIME)).all()
            if not rows:
                break
            missing, after = missing + len(rows), rows[-1].id
            computed += self._hashed({row.id: row.rendition for row in rows}) if self.repair else 0
        if missing:
            problem = f"{missing} pictures have no hash by which their near-duplicates are found"
            yield Finding(problem, self._how_hashed(missing, computed), repaired=missing == computed)

    def _hashed(self, renditions: dict[int, str]) -> int:
        """Compute and keep the hashes of these images; returns how many could be."""
        hashes = []
        for image_id, key in renditions.items():
            # A rendition that cannot be read is a finding of its own.
            with suppress(MissingBlob, PictureError):
                hashes.append({"id": image_id, "dhash": dhash_of(self.blobs.read(key))})
        with self.database.writing() as session:
            for values in hashes:
                session.execute(update(Image).where(Image.id == values["id"]).values(dhash=values["dhash"]))
        return len(hashes)

    def _how_hashed(self, missing: int, computed: int) -> str:
        if not self.repair:
            return "can be computed"
        left = missing - computed
        return f"{computed} computed, {left} have no rendition to compute it from" if left else "computed"

    def _checkpoints(self) -> Iterator[Finding]:
        with self.database.reading() as session:
            checkpoints = session.scalars(select(Checkpoint).order_by(Checkpoint.id)).all()
        for checkpoint in checkpoints:
            for key in (checkpoint.weights_sha256, checkpoint.description_sha256):
                if trouble := self._trouble(key):
                    problem = f"a file of checkpoint {checkpoint.name} ({key[:12]}) {trouble}"
                    yield self._set_aside(key, problem, "restore it from a backup")

    def _manifests(self) -> Iterator[Finding]:
        with self.database.reading() as session:
            found = session.scalars(select(Dataset).order_by(Dataset.id)).all()
        for dataset in found:
            key = dataset.manifest_sha256
            if trouble := self._trouble(key):
                problem = f"the manifest of dataset {datasets.address(dataset)} ({key[:12]}) {trouble}"
                yield self._set_aside(key, problem, "restore it from a backup, or freeze it anew")

    def _measured(self) -> Iterator[Finding]:
        query = (
            select(Evaluation.predictions_sha256, Checkpoint.name, Dataset)
            .join(Checkpoint, Checkpoint.id == Evaluation.checkpoint_id)
            .join(Dataset, Dataset.id == Evaluation.dataset_id)
            .order_by(Evaluation.id)
        )
        for key, checkpoint, dataset in self._rows(query):
            if trouble := self._trouble(key):
                what = f"what {checkpoint!r} wrote on {datasets.address(dataset)} ({key[:12]}) {trouble}"
                yield self._set_aside(key, what, "restore it from a backup, or measure the checkpoint again")

    def _trainings(self) -> Iterator[Finding]:
        query = select(TrainingRun.files_sha256, TrainingRun.job_id).order_by(TrainingRun.job_id)
        for key, job_id in self._rows(query.where(TrainingRun.files_sha256.is_not(None))):
            if trouble := self._trouble(key):
                what = f"the archive of the training of job {job_id} ({key[:12]}) {trouble}"
                yield self._set_aside(key, what, "restore it from a backup, or train again")

    def _golden_splits(self) -> Iterator[Finding]:
        """Photos of golden datasets that are no longer kept from training."""
        query = (
            select(Dataset, func.count())
            .join(DatasetImage, DatasetImage.dataset_id == Dataset.id)
            .join(Image, Image.id == DatasetImage.image_id)
            .where(Dataset.kind == DatasetKind.GOLDEN, Image.split.is_distinct_from(Split.GOLDEN))
            .group_by(Dataset.id)
            .order_by(Dataset.id)
        )
        for dataset, count in self._rows(query):
            what = f"photos of the golden dataset {datasets.address(dataset)} are free to train on: {count}"
            yield Finding(what, "judge by another golden set; draw and freeze a new one")

    def _orphans(self) -> Iterator[Finding]:
        for keys in _pages(self.blobs.keys()):
            with self.database.reading() as session:
                used = used_blobs(session, keys)
            for key in keys:
                if key not in used and time.time() - self.blobs.stored_at(key) > ORPHAN_AGE:
                    yield self._removed(key)
        for left_over in self.blobs.left_overs(older_than=ORPHAN_AGE):
            if self.repair:
                left_over.remove()
            yield self._mended(f"{left_over.name} was never stored", "removed")

    def _removed(self, key: str) -> Finding:
        if self.repair:
            remove_blobs(self.database, self.blobs, [key])
        return self._mended(f"blob {key} belongs to nothing", "removed")

    def _jobs(self) -> Iterator[Finding]:
        with self.database.reading() as session:
            job_ids = session.scalars(select(Job.id).order_by(Job.id)).all()
        for job_id in job_ids:
            with self._session() as session:
                # While it is locked, no worker changes its counters or the items that they count.
                job = session.get(Job, job_id, with_for_update=True)
                findings = self._job(session, job) if job else []
            yield from findings

    def _job(self, session: Session, job: Job) -> list[Finding]:
        findings = []
        if counted := _counted(session, job):
            values = [f"{name} {value} instead of {getattr(job, name)}" for name, value in counted.items()]
            problem = f"job {job.id} counts wrong: {', '.join(values)}"
            findings.append(self._change(session, job, problem, counted))
        open_chunk = select(Chunk.number).where(Chunk.job_id == job.id, Chunk.state != ChunkState.FINISHED)
        in_chunks = job.kind is not JobKind.IMPORT
        if in_chunks and job.state in UNFINISHED and session.scalar(open_chunk.limit(1)) is None:
            problem = f"job {job.id} is {job.state} although none of its chunks is open"
            outcome = JobState.FAILED if job.error else JobState.DONE
            ended = {"state": outcome, "paused_because": None, "finished_at": utc_now()}
            findings.append(self._change(session, job, problem, ended))
        return findings

    def _change(self, session: Session, job: Job, problem: str, values: dict[str, Any]) -> Finding:
        if self.repair:
            session.execute(update(Job).where(Job.id == job.id).values(values))
        return self._mended(problem, "corrected")

    def _review_states(self) -> Iterator[Finding]:
        """What items say of their captions: the review state, and the doubt by which queues order them."""
        state_is_wrong = Item.review_state != derived_review_state()
        doubt_is_wrong = func.abs(Item.doubt - derived_doubt()) > SAME_DOUBT
        with self._session() as session:
            query = select(
                Item.id, Item.path, Item.review_state, Item.doubt, state_is_wrong.label("in_state")
            )
            found = session.execute(query.where(state_is_wrong | doubt_is_wrong).order_by(Item.id)).all()
            if self.repair:
                for rows in _pages(found):
                    ids = [row.id for row in rows]
                    # A reviewer who is about to save is waited for, and then counted.
                    session.execute(
                        select(Item.id).where(Item.id.in_(ids)).order_by(Item.id).with_for_update()
                    )
                    refresh_review_state(session, ids)
        for row in found:
            counted = f"counts as {row.review_state}" if row.in_state else f"has a doubt of {row.doubt:g}"
            problem = f"{row.path} (item {row.id}) {counted}, but its captions say otherwise"
            yield self._mended(problem, "corrected")

    def _item_counts(self) -> Iterator[Finding]:
        with self._session() as session:
            wrong = miscounted(session)
            if self.repair and wrong:
                recount(session, wrong)
        for one in wrong:
            problem = f"{one.collection} counts {one.counted} items as {one.state}, but has {one.number}"
            yield self._mended(problem, "corrected")

    def _mended(self, problem: str, how: str) -> Finding:
        return Finding(problem, how if self.repair else f"can be {how}", repaired=self.repair)

    def _session(self) -> AbstractContextManager[Session]:
        return self.database.writing() if self.repair else self.database.reading()


def _pages(rows: Iterable[Row]) -> Iterator[list[Row]]:
    rest = iter(rows)
    while page := list(islice(rest, ROWS_AT_A_TIME)):
        yield page


def _counted(session: Session, job: Job) -> dict[str, int]:
    """The counters of a job that are wrong, as they should be.

    Items that were deleted since have no row any more, so a counter may be higher than there are rows.
    """
    rows = session.execute(
        select(JobItem.state, func.count().label("number"))
        .where(JobItem.job_id == job.id)
        .group_by(JobItem.state)
    )
    counts = {row.state: row.number for row in rows}
    names = {
        "done": JobItemState.DONE,
        "failed": JobItemState.FAILED,
        "skipped": JobItemState.SKIPPED,
    }
    whole = sum(counts.values()) == job.total
    return {
        name: counts.get(state, 0)
        for name, state in names.items()
        if (
            getattr(job, name) != counts.get(state, 0) if whole else getattr(job, name) < counts.get(state, 0)
        )
    }
