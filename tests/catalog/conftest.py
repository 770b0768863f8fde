"""A catalog on each of the two databases, with a collection of items made without decoding anything."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from catalog import collections
from catalog.blobs.local import LocalBlobs
from catalog.blobs.s3 import S3Blobs
from catalog.chunks import Claim
from catalog.database import Database
from catalog.object_storage import Bucket, S3Account, S3Place
from catalog.recording import Written
from catalog.schema import Checkpoint, CheckpointState, Image, Item, Role, User
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
