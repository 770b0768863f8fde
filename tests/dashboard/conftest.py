"""The application on a migrated SQLite file of its own, with people, a collection and photos in it."""

import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from apiflask import APIFlask
from argon2 import PasswordHasher
from PIL import Image as Picture
from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog import chunks, collections, datasets, jobs, recording, workers
from catalog.blobs import open_blobs
from catalog.database import Database
from catalog.recording import Written
from catalog.schema import (
    Caption,
    CaptionState,
    Checkpoint,
    CheckpointState,
    Collection,
    Dataset,
    DatasetKind,
    Image,
    Item,
    JobState,
    Origin,
    ReviewState,
    Role,
    Split,
    User,
)
from catalog.settings import Settings, load_settings
from catalog.training_jobs import MINIMUM_PHOTOS
from dashboard import security
from dashboard.app import create_app
from tests.dashboard import trained
from tests.dashboard.compiled import Address, Templates
from tests.dashboard.trained import Loop
from tests.dashboard.visitor import PASSWORD, Visitor

MODEL_TEXT = "A brown dog runs across a field."
CHEAP = {"argon2__rounds": 1, "argon2__memory_cost": 8, "argon2__parallelism": 1}


@pytest.fixture(scope="session")
def password_hash() -> str:
    """A hash that takes no time to compare with, unlike those of the catalog."""
    return PasswordHasher(time_cost=1, memory_cost=CHEAP["argon2__memory_cost"], parallelism=1).hash(PASSWORD)


@pytest.fixture(scope="session")
def templates() -> Templates:
    return Templates()


@pytest.fixture
def settings(tmp_path: Path, migrated_sqlite: Path) -> Settings:
    settings = load_settings({"RECAPTION_HOME": str(tmp_path / "home")})
    settings.prepare_home()
    shutil.copy(migrated_sqlite, settings.home / "recaption.sqlite")
    return settings


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """The application's database, through a door of the test's own."""
    database = Database(settings.database_url)
    yield database
    database.close()


@pytest.fixture
def new_user(database: Database, password_hash: str) -> Callable[..., User]:
    """A function that adds a user whose password is PASSWORD."""

    def add(name: str, role: Role = Role.REVIEWER) -> User:
        with database.writing() as session:
            user = User(name=name, role=role, password=password_hash, fs_uniquifier=name)
            session.add(user)
        return user

    return add


@pytest.fixture
def app(settings: Settings, templates: Templates, monkeypatch: pytest.MonkeyPatch) -> Iterator[APIFlask]:
    # Otherwise a login replaces a cheap hash by one of the usual price.
    monkeypatch.setitem(security.CONFIG, "SECURITY_PASSWORD_HASH_PASSLIB_OPTIONS", CHEAP)
    monkeypatch.setattr(APIFlask, "url_rule_class", Address)
    app = create_app(settings, reconcile=False)
    app.jinja_env.bytecode_cache = templates
    app.test_client_class = Visitor
    yield app
    app.extensions["recaption"].database.close()


@pytest.fixture
def client(app: APIFlask) -> Visitor:
    """Somebody who has not logged in."""
    visitor = app.test_client()
    assert isinstance(visitor, Visitor)
    return visitor


@pytest.fixture
def admin(app: APIFlask, new_user: Callable[..., User]) -> Visitor:
    """The admin ada, logged in."""
    new_user("ada", Role.ADMIN)
    return _logged_in(app, "ada")


@pytest.fixture
def reviewer(app: APIFlask, new_user: Callable[..., User]) -> Visitor:
    """The reviewer bob, logged in, who is a member of nothing yet."""
    new_user("bob")
    return _logged_in(app, "bob")


@pytest.fixture
def collection(database: Database) -> int:
    """The id of the collection Harbour, of which nobody is a member."""
    with database.writing() as session:
        return collections.create(session, name="Harbour", owner=None).id


@pytest.fixture
def new_items(database: Database, settings: Settings, collection: int) -> Callable[[int], list[int]]:
    """A function that adds so many photos, stored without decoding anything, and returns their ids."""

    def add(count: int) -> list[int]:
        blobs, ids = open_blobs(settings), []
        with database.writing() as session:
            for number in range(count):
                original = blobs.put(b"original" + number.to_bytes(4))
                rendition = blobs.put(jpeg(number))
                image = Image(
                    sha256=original, rendition=rendition, format="PNG", bytes=12, width=96, height=64
                )
                session.add(image)
                session.flush()
                item = Item(
                    collection_id=collection, image_id=image.id, path=f"{number:04}.png", position=number + 1
                )
                session.add(item)
                session.flush()
                ids.append(item.id)
        return ids

    return add


@pytest.fixture
def item(new_items: Callable[[int], list[int]]) -> int:
    """The id of one photo without a caption."""
    return new_items(1)[0]


@pytest.fixture
def checkpoint(database: Database) -> int:
    """The id of an active checkpoint."""
    with database.writing() as session:
        checkpoint = Checkpoint(
            name="starter-1",
            state=CheckpointState.ACTIVE,
            weights_sha256="0" * 64,
            description_sha256="1" * 64,
            description={
                "name": "starter-1",
                "vocabulary": ["dog", "runs"],
                "scores": {"split": "dev", "n": 1000, "scores": {"bleu4": 0.2134}},
            },
        )
        session.add(checkpoint)
        session.flush()
        return checkpoint.id


@pytest.fixture
def job(admin: Visitor, collection: int, new_items: Callable[[int], list[int]], checkpoint: int) -> int:
    """The id of a job on three photos that no worker has begun."""
    new_items(3)
    answer = admin.call("POST", "/jobs", json={"collection_id": collection})
    assert answer.status_code == 202
    return int(answer.json["id"])


@pytest.fixture
def captioned(database: Database, checkpoint: int, collection: int) -> Callable[[], int]:
    """A function that lets a job caption what has no caption yet, and returns the job's id."""

    def caption() -> int:
        with database.writing() as session:
            job = jobs.create_caption_job(
                session,
                session.get_one(Collection, collection),
                checkpoint=session.get_one(Checkpoint, checkpoint),
                user=None,
            )
        while True:
            with database.writing() as session:
                claim = chunks.claim(session, worker_id=_worker(session))
                if claim is None:
                    return job.id
                recording.record(session, claim, [_written(one.item_id) for one in claim.items])

    return caption


@pytest.fixture
def caption(database: Database, item: int, captioned: Callable[[], int]) -> int:
    """The id of the model's caption of `item`."""
    captioned()
    with database.reading() as session:
        return session.scalars(select(Caption.id).where(Caption.item_id == item)).one()


@pytest.fixture
def accepted(database: Database, new_items: Callable[[int], list[int]]) -> Callable[..., list[int]]:
    """A function that adds so many photos with an accepted caption each, and returns their ids."""

    def add(count: int, origin: Origin = Origin.WRITTEN) -> list[int]:
        ids = new_items(count)
        with database.writing() as session:
            for item_id in ids:
                text = f"A boat at pier {item_id}."
                session.add(Caption(item_id=item_id, text=text, origin=origin, state=CaptionState.ACCEPTED))
                session.get_one(Item, item_id).review_state = ReviewState.ACCEPTED
        return ids

    return add


@pytest.fixture
def frozen(
    database: Database, settings: Settings, collection: int, accepted: Callable[..., list[int]]
) -> int:
    """The id of the dataset harbour@1 with three photos."""
    accepted(3)
    return datasets.freeze(database, open_blobs(settings), collection, "harbour").dataset_id


@pytest.fixture
def learnable(
    database: Database, settings: Settings, new_items: Callable[[int], list[int]], checkpoint: int
) -> int:
    """The id of a dataset that is large enough to train on, one photo of which is for validation."""
    ids = new_items(MINIMUM_PHOTOS + 1)
    with database.writing() as session:
        dataset = trained.frozen(session, open_blobs(settings), ids, "Harbour corrections")
        trained.hold_one_back(session, dataset)
        dataset.card = {
            "images": {"train": MINIMUM_PHOTOS, "validation": 1},
            "origins": {"train": {"edited": 40, "accepted unchanged": 10}},
        }
        return dataset.id


@pytest.fixture
def train_job(database: Database, learnable: int, checkpoint: int) -> int:
    """The id of a train job that is in its third epoch."""
    with database.writing() as session:
        job = trained.training(
            session,
            session.get_one(Dataset, learnable),
            session.get_one(Checkpoint, checkpoint),
            state=JobState.RUNNING,
            stage="training",
            epochs=trained.EPOCHS,
            losses=[[10, 4.0], [20, 3.0], [30, 2.5]],
            progress={"epoch": 3, "epochs": 12, "step": 4, "steps": 10, "loss": 2.5, "seconds_left": 540.0},
            data=trained.DATA,
        )
        job.done, job.total = 2, 12
        return job.id


@pytest.fixture
def loop(
    database: Database,
    settings: Settings,
    new_items: Callable[[int], list[int]],
    checkpoint: int,
    admin: Visitor,
) -> Loop:
    ids = new_items(4)
    blobs = open_blobs(settings)
    with database.writing() as session:
        learned = trained.frozen(session, blobs, ids[:2], "Boats")
        golden = trained.frozen(
            session, blobs, ids[2:], "Golden", kind=DatasetKind.GOLDEN, split=Split.GOLDEN
        )
        candidate = trained.trained(session, learned, session.get_one(Checkpoint, checkpoint), "boats-1")
        return Loop(database, settings, checkpoint, candidate.id, golden.id, learned.id, ids)


def jpeg(seed: int = 0) -> bytes:
    """A small picture, different for every seed."""
    stream = io.BytesIO()
    Picture.new("RGB", (96, 64), (seed * 37 % 256, seed * 91 % 256, 120)).save(stream, "JPEG")
    return stream.getvalue()


def _logged_in(app: APIFlask, name: str) -> Visitor:
    visitor = app.test_client()
    assert isinstance(visitor, Visitor)
    assert visitor.log_in(name).status_code == 302
    return visitor


def _worker(session: Session) -> int:
    return workers.register(session, name="test", device="cpu", version="0")


def _written(item_id: int) -> Written:
    return Written(
        item_id=item_id,
        text=MODEL_TEXT,
        score=-0.7,
        confidence=0.71,
        tokens=["a", "brown", "dog"],
        token_probabilities=[0.9, 0.4, 0.8],
        alternatives=[{"text": "A dog plays outside.", "score": -0.9}],
    )
