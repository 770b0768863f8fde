"""Rows of the loop as freezing, training and measuring leave them, for pages and the API to show."""

import io
import json
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog import evaluations, manifests, regressions
from catalog.blobs import BlobStore, open_blobs
from catalog.database import Database
from catalog.evaluations import SetToMeasure
from catalog.manifests import FrozenCaption, FrozenItem, Header
from catalog.regressions import Predicted
from catalog.schema import (
    Checkpoint,
    CheckpointState,
    Chunk,
    Collection,
    Dataset,
    DatasetImage,
    DatasetKind,
    Image,
    Impact,
    Item,
    Job,
    JobKind,
    JobState,
    Promotion,
    Split,
    TrainingRun,
)
from catalog.settings import Settings

STARTER = Path(__file__).parents[2] / "model" / "starter"
EPOCHS = [
    {"epoch": 1, "loss": 3.2, "scores": {"cider": 0.31}, "seconds": 20.5, "stage": "teacher forcing"},
    {"epoch": 2, "loss": 2.7, "scores": {"cider": 0.36}, "seconds": 19.9, "stage": "teacher forcing"},
]
DATA = {"new": 80, "replay": 240, "distilled": 0, "validation": 12}
PHOTOS = 424
OPTIONS: dict[str, object] = {
    "recipe": None,
    "replay": 0.75,
    "origins": None,
    "seed": 1,
    "promote": False,
    "overrides": [],
}


@dataclass
class Loop:
    """The active checkpoint, a candidate that was trained on Boats from it, and a golden set."""

    database: Database
    settings: Settings
    active: int
    candidate: int
    golden: int
    learned: int
    items: list[int]

    def measure(self, **scores: float) -> None:
        """Measure the candidate beside the active one."""
        with self.database.writing() as session:
            golden = session.get_one(Dataset, self.golden)
            pair = [session.get_one(Checkpoint, number) for number in (self.candidate, self.active)]
            measured(session, open_blobs(self.settings), golden, *pair, **scores)

    def tell_impact(self) -> None:
        with self.database.writing() as session:
            pair = [session.get_one(Checkpoint, number) for number in (self.candidate, self.active)]
            collection = session.scalars(select(Collection.id)).one()
            impact(session, collection, *pair, self.items[0])

    def active_now(self) -> int:
        with self.database.reading() as session:
            state = Checkpoint.state == CheckpointState.ACTIVE
            return session.scalars(select(Checkpoint.id).where(state)).one()

    def promotion(self) -> Promotion:
        with self.database.reading() as session:
            return session.scalars(select(Promotion).order_by(Promotion.id.desc()).limit(1)).one()


def frozen(
    session: Session,
    blobs: BlobStore,
    item_ids: Sequence[int],
    name: str,
    *,
    kind: DatasetKind = DatasetKind.CURATED,
    split: Split = Split.TRAIN,
    version: int = 1,
) -> Dataset:
    """A dataset of items of one collection, each with a caption that somebody edited."""
    items = session.scalars(select(Item).where(Item.id.in_(item_ids))).all()
    held = [_frozen_item(item, session.get_one(Image, item.image_id), kind, split) for item in items]
    header = Header(kind=kind, collection="Harbour", filter={}, guidelines="")
    with TemporaryDirectory() as folder:
        manifests.write(Path(folder, "manifest"), header, held)
        manifest = blobs.put(Path(folder, "manifest"))
    dataset = Dataset(
        name=name,
        version=version,
        kind=kind,
        collection_id=items[0].collection_id,
        manifest_sha256=manifest,
        images=len(items),
        captions=len(items),
        card={"images": {split: len(items)}, "origins": {split: {"edited": len(items)}}},
    )
    session.add(dataset)
    session.flush()
    rows = [{"image_id": item.image_id, "item_id": item.id, "split": split} for item in items]
    session.add_all(DatasetImage(dataset_id=dataset.id, **row) for row in rows)
    session.flush()
    return dataset


def hold_one_back(session: Session, dataset: Dataset) -> None:
    """Let one photo be for validation."""
    one = session.scalars(select(DatasetImage).where(DatasetImage.dataset_id == dataset.id).limit(1)).one()
    one.split = Split.VALIDATION
    session.flush()


def trained(session: Session, dataset: Dataset, base: Checkpoint | None, name: str) -> Checkpoint:
    """A candidate that a train job made of a dataset."""
    checkpoint = Checkpoint(
        name=name,
        weights_sha256="6" * 64,
        description_sha256="7" * 64,
        description={"name": name, "vocabulary": ["dog", "jetty", "runs"], "licence": "Only for tests."},
    )
    session.add(checkpoint)
    session.flush()
    training(session, dataset, base, state=JobState.DONE, checkpoint_id=checkpoint.id, stage="done")
    return checkpoint


def training(
    session: Session,
    dataset: Dataset | None,
    base: Checkpoint | None,
    *,
    state: JobState = JobState.QUEUED,
    **run: object,
) -> Job:
    """A train job; without a dataset one that only measures."""
    job = Job(
        kind=JobKind.TRAIN,
        state=state,
        collection_id=dataset.collection_id if dataset else None,
        checkpoint_id=base.id if base else None,
        options=OPTIONS | ({} if base else {"recipe": "show_and_tell"}) if dataset else {},
        # No worker of a test may take it: the tests play its worker.
        protocol=99,
    )
    session.add(job)
    session.flush()
    line = dataset.name if dataset else "checkpoint"
    row = TrainingRun(job_id=job.id, dataset_id=dataset.id if dataset else None, line=line)
    for name, value in run.items():
        setattr(row, name, value)
    session.add_all([Chunk(job_id=job.id, number=0), row])
    session.flush()
    return job


def measured(
    session: Session,
    blobs: BlobStore,
    dataset: Dataset,
    candidate: Checkpoint,
    against: Checkpoint,
    *,
    before: float = 0.412,
    after: float = 0.468,
    p: float = 0.004,
    width: float = 0.03,
) -> None:
    """What a measuring job keeps of two checkpoints on a golden set, whose first photo became worse."""
    on = SetToMeasure(dataset, Split.GOLDEN)
    keys = session.scalars(
        select(Image.sha256)
        .join(DatasetImage, DatasetImage.image_id == Image.id)
        .where(DatasetImage.dataset_id == dataset.id)
        .order_by(Image.id)
    ).all()
    for checkpoint, score, texts in (
        (against, before, ("A boat at the jetty.", 1.5)),
        (candidate, after, ("A jetty.", 0.25)),
    ):
        lines = regressions.to_lines(Predicted(key, *texts) for key in keys[:1])
        evaluations.record(
            session,
            checkpoint_id=checkpoint.id,
            measured_on=on,
            job_id=None,
            result=result(score, width),
            predictions_sha256=blobs.put(lines),
        )
    value = after - before
    difference = {"value": value, "low": value - width, "high": value + width, "p": p}
    evaluations.record_comparison(
        session,
        candidate_id=candidate.id,
        against_id=against.id,
        measured_on=on,
        job_id=None,
        result={
            "n": PHOTOS,
            "candidate": {"cider": after},
            "against": {"cider": before},
            "difference": {"cider": difference},
            "sd": 0.5,
        },
    )


def result(score: float, width: float = 0.03) -> dict[str, object]:
    """The result of an evaluation on a golden set."""
    return {
        "n": PHOTOS,
        "references": 1,
        "scores": {"cider": score},
        "intervals": {"cider": [score - width, score + width]},
        "origins": {"blind": PHOTOS},
    }


def impact(
    session: Session, collection_id: int, candidate: Checkpoint, against: Checkpoint, item_id: int
) -> None:
    """What promoting would change of a thousand captions, told from two hundred."""
    told = {
        "items": 1000,
        "sample": 200,
        "changed": 80,
        "share": 0.4,
        "low": 0.33,
        "high": 0.47,
        "estimate": 400,
        "estimate_low": 330,
        "estimate_high": 470,
        "word_edits": 1.5,
        "samples": [{"item_id": item_id, "before": "A brown dog.", "after": "A jetty with a brown dog."}],
    }
    session.add(
        Impact(collection_id=collection_id, candidate_id=candidate.id, against_id=against.id, result=told)
    )
    session.flush()


def files(**contents: str) -> bytes:
    """A tar of a training folder; dots in names are written __."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name.replace("__", ".").replace("_slash_", "/"))
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))
    return stream.getvalue()


def packed(folder: Path, **changed: bytes) -> io.BytesIO:
    """A zip of a checkpoint folder."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in ("checkpoint.json", "weights.safetensors"):
            content = changed.get(name.partition(".")[0], (folder / name).read_bytes())
            archive.writestr(f"starter/{name}", content)
    stream.seek(0)
    return stream


def renamed(name: str) -> bytes:
    described = json.loads((STARTER / "checkpoint.json").read_text(encoding="utf-8"))
    return json.dumps({**described, "name": name}).encode()


def _frozen_item(item: Item, image: Image, kind: DatasetKind, split: Split) -> FrozenItem:
    golden = kind is DatasetKind.GOLDEN
    caption = FrozenCaption(
        text="A small boat at the jetty.",
        language="en",
        kind="caption",
        origin="written" if golden else "edited",
        blind=golden,
    )
    return FrozenItem(
        item_id=item.id,
        path=item.path,
        sha256=image.sha256,
        rendition=image.rendition,
        width=image.width,
        height=image.height,
        split=split,
        captions=(caption,),
    )
