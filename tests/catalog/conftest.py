"""A catalog on each of the two databases, with a collection of items made without decoding anything."""

import shutil
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from catalog import collections, evaluations
from catalog.blobs.local import LocalBlobs
from catalog.blobs.s3 import S3Blobs
from catalog.chunks import Claim
from catalog.database import Database
from catalog.evaluations import SetToMeasure
from catalog.object_storage import Bucket, S3Account, S3Place
from catalog.recording import Written
from catalog.schema import (
    Checkpoint,
    CheckpointState,
    Comparison,
    Dataset,
    DatasetImage,
    DatasetKind,
    Image,
    Item,
    Job,
    JobKind,
    JobState,
    Role,
    Split,
    TrainingRun,
    User,
)
from pictures.sandbox import DecodingProcess
from tests.catalog.web_server import Server


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A migrated, empty database of its own for every test."""
    if request.param == "sqlite":
        copy = tmp_path / "recaption.sqlite"
        shutil.copy(request.getfixturevalue("migrated_sqlite"), copy)
        url = f"sqlite:///{copy}"
    else:
        url = request.getfixturevalue("empty_postgresql")
    database = Database(url)
    yield database
    database.close()


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    """A writing session that is rolled back at the end."""
    with database.writing_session() as session:
        yield session


@pytest.fixture(scope="module")
def decoder() -> Iterator[DecodingProcess]:
    with DecodingProcess() as decoder:
        yield decoder


@pytest.fixture
def s3_blobs(place: S3Place, account: S3Account, tmp_path: Path) -> S3Blobs:
    return S3Blobs(Bucket(place, account), staging=tmp_path / "staging")


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "blobs")


@pytest.fixture
def new_user() -> Callable[..., User]:
    """A function that adds a user without the cost of hashing a password."""

    def add(session: Session, name: str, role: Role = Role.REVIEWER) -> User:
        user = User(name=name, role=role, password="!", fs_uniquifier=name)
        session.add(user)
        session.flush()
        return user

    return add


@pytest.fixture
def filled() -> Callable[..., tuple[int, list[int], int]]:
    """A function that adds a collection of `count` items and an active checkpoint, and returns the ids."""

    def fill(session: Session, count: int, name: str = "Harbour") -> tuple[int, list[int], int]:
        collection = collections.create(session, name=name, owner=None)
        ids = []
        for number in range(count):
            sha256 = f"{number:032x}{collection.id:032x}"
            image = Image(sha256=sha256, rendition=sha256, format="JPEG", bytes=10, width=96, height=64)
            session.add(image)
            session.flush()
            item = Item(
                collection_id=collection.id, image_id=image.id, path=f"{number:04}.jpg", position=number + 1
            )
            session.add(item)
            session.flush()
            ids.append(item.id)
        checkpoint = Checkpoint(
            name=f"starter for {name}",
            state=CheckpointState.ACTIVE,
            weights_sha256="0" * 64,
            description_sha256="1" * 64,
            description={"name": "starter"},
        )
        session.add(checkpoint)
        session.flush()
        return collection.id, ids, checkpoint.id

    return fill


@pytest.fixture
def written() -> Callable[[Claim], list[Written]]:
    """A function that makes up an outcome for every item of a claim."""

    def outcomes(held: Claim) -> list[Written]:
        return [
            Written(
                item_id=item.item_id,
                text=f"A boat at {item.path}.",
                score=-0.5,
                tokens=["a", "boat"],
                token_probabilities=[0.9, 0.5],
                alternatives=[{"text": "A ship.", "score": -0.7}],
            )
            for item in held.items
        ]

    return outcomes


@pytest.fixture
def server() -> Iterator[Server]:
    """A web server on the loopback."""
    server = Server()
    yield server
    server.close()


@pytest.fixture
def frozen() -> Callable[..., Dataset]:
    """A function that freezes images of a collection as a dataset without a manifest: its rows alone."""

    def freeze(
        session: Session,
        collection_id: int | None,
        name: str,
        *,
        kind: DatasetKind = DatasetKind.GOLDEN,
        version: int = 1,
        images: dict[int, Split] | None = None,
        languages: dict[str, int] | None = None,
    ) -> Dataset:
        held = images or {}
        dataset = Dataset(
            name=name,
            version=version,
            kind=kind,
            collection_id=collection_id,
            manifest_sha256="2" * 64,
            images=len(held) or 1,
            card={"languages": languages} if languages else {},
        )
        session.add(dataset)
        session.flush()
        for image_id, split in held.items():
            session.add(DatasetImage(dataset_id=dataset.id, image_id=image_id, split=split))
        session.flush()
        return dataset

    return freeze


@pytest.fixture
def trained() -> Callable[..., Checkpoint]:
    """A function that adds a candidate, trained on a dataset from a base; one from elsewhere without one."""

    def train(
        session: Session,
        name: str,
        dataset: Dataset | None = None,
        base: Checkpoint | None = None,
        *,
        language: str | None = None,
    ) -> Checkpoint:
        checkpoint = Checkpoint(
            name=name,
            weights_sha256=sha256(name.encode()).hexdigest(),
            description_sha256="4" * 64,
            description={"name": name},
        )
        session.add(checkpoint)
        session.flush()
        if dataset:
            job = Job(
                kind=JobKind.TRAIN,
                state=JobState.DONE,
                checkpoint_id=base.id if base else None,
                options={"language": language},
            )
            session.add(job)
            session.flush()
            session.add(
                TrainingRun(
                    job_id=job.id, dataset_id=dataset.id, checkpoint_id=checkpoint.id, line=dataset.name
                )
            )
            session.flush()
        return checkpoint

    return train


@pytest.fixture
def compared() -> Callable[..., Comparison]:
    """A function that keeps what two checkpoints score on a golden set, as a measuring job would."""

    def compare(
        session: Session,
        candidate: Checkpoint,
        against: Checkpoint,
        dataset: Dataset,
        *,
        before: float = 0.412,
        after: float = 0.468,
        p: float = 0.004,
        n: int = 424,
        sd: float = 0.5,
        width: float = 0.03,
    ) -> Comparison:
        value = after - before
        result = {
            "n": n,
            "candidate": {"cider": after},
            "against": {"cider": before},
            "difference": {"cider": {"value": value, "low": value - width, "high": value + width, "p": p}},
            "sd": sd,
        }
        return evaluations.record_comparison(
            session,
            candidate_id=candidate.id,
            against_id=against.id,
            measured_on=SetToMeasure(dataset, Split.GOLDEN),
            job_id=None,
            result=result,
        )

    return compare
