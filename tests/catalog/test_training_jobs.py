from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.orm import Session

from catalog import training_jobs, training_runs
from catalog.errors import Conflict, InvalidInput, NotAllowed
from catalog.schema import (
    Checkpoint,
    Chunk,
    Dataset,
    DatasetImage,
    DatasetKind,
    Image,
    Job,
    JobState,
    Origin,
    Role,
    Split,
    User,
)
from pictures.fingerprint import FLAT

DHASH = 0x5555_0F0F_3333_1111
Filled = Callable[..., tuple[int, list[int], int]]
NewUser = Callable[..., User]
Freeze = Callable[..., Dataset]


@pytest.fixture
def freeze(filled: Filled) -> Freeze:
    """A function that freezes so many photos a split, without a manifest."""

    def make(session: Session, name: str = "harbour", **counts: int) -> Dataset:
        collection_id, _, _ = filled(session, 0, name=f"{name} {len(session.new)}")
        made = Dataset(
            name=name,
            version=1,
            kind=DatasetKind.CURATED,
            collection_id=collection_id,
            manifest_sha256="2" * 64,
        )
        session.add(made)
        session.flush()
        for split, count in counts.items():
            for number in range(count):
                sha256 = f"{made.id:x}{number:x}{split}".encode().hex().rjust(64, "0")
                image = Image(sha256=sha256, rendition=sha256, format="JPEG", bytes=1, width=9, height=9)
                image.split = Split(split)
                session.add(image)
                session.flush()
                session.add(DatasetImage(dataset_id=made.id, image_id=image.id, split=Split(split)))
        session.flush()
        return made

    return make


def base_of(session: Session) -> Checkpoint:
    return session.query(Checkpoint).order_by(Checkpoint.id).limit(1).one()


def start(session: Session, dataset: Dataset, **options: Any) -> Job:
    settings = {"base": base_of(session), "recipe": None, "user": None, **options}
    return training_jobs.create(session, dataset, **settings)


def test_a_train_job_has_one_chunk_and_a_run(session: Session, freeze: Freeze, new_user: NewUser) -> None:
    dataset, grace = freeze(session, train=50, validation=1), new_user(session, "grace")
    job = start(session, dataset, user=grace, origins=[Origin.WRITTEN, Origin.EDITED])
    assert (job.state, job.collection_id) == (JobState.QUEUED, dataset.collection_id)
    assert job.options["origins"] == ["edited", "written"]
    run = training_runs.run_of(session, job)
    assert (run.dataset_id, run.line, run.checkpoint_id) == (dataset.id, "harbour", None)
    assert session.get_one(Chunk, (job.id, 0)).token == 0
    assert training_runs.standing(session, job).stage == "waiting"


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ({"train": 49, "validation": 5}, "has 49 photos to train on, and 50 are needed"),
        ({}, "has 0 photos to train on"),
        ({"train": 50, "test": 5}, "no photo to validate on"),
    ],
)
def test_too_few_photos_are_refused(
    session: Session, freeze: Freeze, counts: dict[str, int], reason: str
) -> None:
    with pytest.raises(Conflict, match=reason):
        start(session, freeze(session, **counts))


def test_captions_of_one_sentence_teach_nothing(session: Session, freeze: Freeze) -> None:
    dataset = freeze(session, train=50, validation=1)
    dataset.card = {"vocabulary": 4}
    with pytest.raises(Conflict, match="4 different words, and 20 are needed"):
        start(session, dataset)


def test_a_golden_set_never_trains(session: Session, freeze: Freeze) -> None:
    golden = freeze(session, train=50, validation=1)
    golden.kind = DatasetKind.GOLDEN
    with pytest.raises(Conflict, match="golden set, which measures"):
        start(session, golden)


@pytest.mark.parametrize("learnt_from", ["train", "validation"])
def test_a_photo_that_became_golden_since_is_a_leak(
    session: Session, freeze: Freeze, learnt_from: str
) -> None:
    dataset = freeze(session, train=50, validation=1)
    row = session.query(DatasetImage).filter_by(dataset_id=dataset.id, split=Split(learnt_from)).first()
    assert row
    golden = freeze(session, name="blind")
    session.add(DatasetImage(dataset_id=golden.id, image_id=row.image_id, split=Split.GOLDEN))
    session.flush()
    with pytest.raises(Conflict, match=r"1 photo of harbour@1 .* became test or golden"):
        start(session, dataset)


def test_a_photo_whose_split_is_test_by_now_is_a_leak(session: Session, freeze: Freeze) -> None:
    dataset = freeze(session, train=50, validation=1)
    image = session.query(Image).filter_by(split=Split.TRAIN).first()
    assert image
    image.split = Split.TEST
    session.flush()
    with pytest.raises(Conflict, match="freeze the dataset again"):
        start(session, dataset)


@pytest.mark.parametrize("learnt_from", [Split.TRAIN, Split.VALIDATION])
@pytest.mark.parametrize("held_back", [Split.TEST, Split.GOLDEN])
def test_what_looks_like_a_photo_that_is_measured_on_since_is_a_leak(
    session: Session, freeze: Freeze, learnt_from: Split, held_back: Split
) -> None:
    dataset = freeze(session, train=50, validation=1)
    learnt = session.query(Image).filter_by(split=learnt_from).limit(1).one()
    freeze(session, name="later", **{held_back.value: 1})
    measured = session.query(Image).filter_by(split=held_back).one()
    learnt.dhash, measured.dhash = DHASH, DHASH ^ 0b11111
    session.flush()
    training_jobs.require_data(session, dataset)
    # As many bits as freezing takes for a likeness.
    measured.dhash = DHASH ^ 0b1111
    session.flush()
    with pytest.raises(Conflict, match=r"^1 photo of harbour@1 .* looks like test or golden photos, such as"):
        start(session, dataset)


def test_a_refusal_says_how_many_photos_are_measured_on_and_how_many_look_like_it(
    session: Session, freeze: Freeze
) -> None:
    dataset = freeze(session, train=60, validation=1)
    images = session.query(Image).filter_by(split=Split.TRAIN).order_by(Image.id).all()
    for image in images[:3]:
        image.dhash = DHASH
    images[0].split = Split.TEST
    # Pages with nothing on them are alike to this hash alone.
    images[4].dhash = images[5].dhash = FLAT
    images[4].split = Split.TEST
    session.flush()
    with pytest.raises(Conflict, match=r"2 photos .* became test .* and 2 photos .* look like test"):
        start(session, dataset)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"base": None}, "say what to train from"),
        ({"recipe": "startr"}, "there is no recipe 'startr'; choose one of .*starter"),
        ({"replay": 1.0}, "replay share is 1.0"),
        ({"seed": -1}, "the seed is -1"),
        ({"overrides": ["epochs=4"]}, "write it as table.key=value"),
        ({"overrides": ["data.word_list=/etc/passwd"]}, "names a file"),
        ({"overrides": ["encoder.weights=/tmp/a.safetensors"]}, "names a file"),
    ],
)
def test_settings_out_of_bounds_are_refused(
    session: Session, freeze: Freeze, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InvalidInput, match=reason):
        start(session, freeze(session, train=50, validation=1), **options)


def test_only_admins_start_a_job_that_promotes(session: Session, freeze: Freeze, new_user: NewUser) -> None:
    dataset = freeze(session, train=50, validation=1)
    with pytest.raises(NotAllowed, match="only admins promote"):
        start(session, dataset, user=new_user(session, "grace"), promote=True)
    job = start(session, dataset, user=new_user(session, "ada", Role.ADMIN), promote=True)
    assert job.options["promote"] is True


def test_what_is_trained_from_scratch_replays_nothing(session: Session, freeze: Freeze) -> None:
    job = start(session, freeze(session, train=50, validation=1), base=None, recipe="transformer")
    assert (job.checkpoint_id, job.options["replay"]) == (None, 0.0)


def test_a_job_that_only_measures_has_no_dataset(session: Session, freeze: Freeze) -> None:
    freeze(session)
    base = base_of(session)
    job = training_jobs.create_measuring(session, base, user=None)
    run = training_runs.run_of(session, job)
    assert (run.dataset_id, run.checkpoint_id, job.collection_id) == (None, base.id, None)
