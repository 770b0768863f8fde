"""What train jobs learn from, of real frozen datasets."""

import pytest
from sqlalchemy import case, select, update

from catalog import dataset_languages, training_jobs, training_photos, withheld
from catalog.blobs.local import LocalBlobs
from catalog.database import Database
from catalog.errors import Conflict, InvalidInput
from catalog.schema import (
    Caption,
    Checkpoint,
    CheckpointState,
    Collection,
    Dataset,
    Image,
    Item,
    ReviewState,
    Split,
    TrainingRun,
)
from tests.worker.corrected import collect, frozen, start

GOLDEN_HASH = 0x5555_0F0F_3333_1111


def trained(database: Database, blobs: LocalBlobs, *, waiting: int = 0) -> tuple[int, int]:
    """The ids of a dataset and of a checkpoint that was trained on it."""
    with database.writing() as session:
        base, made = (
            Checkpoint(
                name=name,
                state=state,
                weights_sha256=digit * 64,
                description_sha256="1" * 64,
                description={"name": name},
            )
            for name, state, digit in (
                ("base", CheckpointState.ACTIVE, "2"),
                ("harbour-1", CheckpointState.CANDIDATE, "3"),
            )
        )
        session.add_all([base, made])
    dataset_id = frozen(database, blobs, collect(database, blobs, "Harbour", waiting=waiting), "harbour")
    job_id = start(database, dataset_id, base.id)
    with database.writing() as session:
        session.get_one(TrainingRun, job_id).checkpoint_id = made.id
    return dataset_id, made.id


def test_earlier_captions_are_replayed_of_the_chosen_origins_alone(
    database: Database, blobs: LocalBlobs
) -> None:
    dataset_id, made_id = trained(database, blobs)
    with database.reading() as session:
        dataset = session.get_one(Dataset, dataset_id)
        edited = {
            photo.sha256
            for photo in training_photos.of_dataset(blobs, dataset, source="dataset", origins=["edited"])
        }
        replayed = {
            origins: {
                photo.sha256
                for photo in training_photos.replayed(
                    session, blobs, [], made_id, share=0.75, seed=1, origins=origins
                )
            }
            for origins in (None, ("written",))
        }
    assert edited
    assert replayed[None] & edited
    assert replayed["written",] == replayed[None] - edited


def test_what_is_prohibited_by_now_or_looks_like_a_golden_photo_is_not_replayed(
    database: Database, blobs: LocalBlobs
) -> None:
    _, made_id = trained(database, blobs, waiting=1)

    def replayed() -> set[str]:
        with database.reading() as session:
            chosen = training_photos.replayed(session, blobs, [], made_id, share=0.75, seed=1)
        return {photo.sha256 for photo in chosen}

    before = replayed()
    prohibited, like = sorted(before)[:2]
    with database.writing() as session:
        of_one = select(Image.id).where(Image.sha256 == prohibited).scalar_subquery()
        session.execute(update(Item).where(Item.image_id == of_one).values(training_prohibited=True))
        session.execute(update(Image).where(Image.sha256 == like).values(dhash=GOLDEN_HASH ^ 1))
        golden = session.scalars(
            select(Image).join(Item).where(Item.review_state == ReviewState.UNCAPTIONED)
        ).one()
        golden.split, golden.dhash = Split.GOLDEN, GOLDEN_HASH
    assert replayed() == before - {prohibited, like}


@pytest.mark.parametrize("split", [Split.VALIDATION, Split.TEST, Split.GOLDEN])
def test_what_looks_like_a_photo_to_measure_on_is_not_distilled(
    database: Database, blobs: LocalBlobs, split: Split
) -> None:
    dataset_id, _ = trained(database, blobs, waiting=30)
    unreviewed = select(Image).join(Item).where(Item.review_state == ReviewState.UNCAPTIONED)
    with database.writing() as session:
        held, *others = session.scalars(unreviewed.order_by(Image.id)).all()
        held.split, held.dhash = split, GOLDEN_HASH
        for number, image in enumerate(others):
            # Every other one differs in a bit, the rest in half of them.
            image.dhash = GOLDEN_HASH ^ (1 if number % 2 else 0x0FF0_0FF0_0FF0_0FF0)
        like = {image.sha256 for image in others[1::2]}
        session.flush()
        chosen = training_photos.unreviewed(
            session, session.get_one(Dataset, dataset_id), wanted=100, seed=1, without=()
        )
    assert chosen
    assert not like & {photo.sha256 for photo in chosen}


def test_a_dataset_of_photos_that_are_prohibited_by_now_is_refused(
    database: Database, blobs: LocalBlobs
) -> None:
    dataset_id, _ = trained(database, blobs)
    with database.writing() as session:
        session.execute(update(Item).values(training_prohibited=True))
        keys = session.scalars(select(Image.sha256)).all()
        assert withheld.prohibited(session, keys) == {*keys}
        with pytest.raises(Conflict, match="has 0 photos to train on"):
            training_jobs.require_data(session, session.get_one(Dataset, dataset_id))


def test_words_are_counted_as_the_card_of_the_dataset_counts_them(
    database: Database, blobs: LocalBlobs
) -> None:
    dataset_id, _ = trained(database, blobs)
    with database.writing() as session:
        # The same three words, however they are written, in photos to learn from alone.
        caption = case((Caption.id % 2 == 0, "A boat, afloat."), else_="a BOAT \u2013 afloat!")
        session.execute(update(Caption).values(text=caption))
        session.execute(update(Image).values(split=Split.TRAIN))
        collection_id = session.scalars(select(Collection.id)).one()
    again = frozen(database, blobs, collection_id, "harbour")
    with database.reading() as session:
        dataset = session.get_one(Dataset, again)
        photos = training_photos.of_dataset(blobs, dataset, source="dataset")
    assert again != dataset_id
    assert training_photos.vocabulary(photos) == dataset.card["vocabulary"] == 3


def test_one_language_is_learnt_by_default_the_commonest(database: Database, blobs: LocalBlobs) -> None:
    trained(database, blobs)
    with database.writing() as session:
        first = select(Caption.id).order_by(Caption.id)
        for tag, limit in (("en-GB", 60), ("de", 20)):
            some = first.limit(limit).scalar_subquery()
            session.execute(update(Caption).where(Caption.id.in_(some)).values(language=tag))
        collection_id = session.scalars(select(Collection.id)).one()
        base = session.scalars(select(Checkpoint).where(Checkpoint.name == "harbour-1")).one()
    dataset_id = frozen(database, blobs, collection_id, "harbour")
    with database.writing() as session:
        dataset = session.get_one(Dataset, dataset_id)
        assert dataset.card["languages"] == {"en-GB": 40, "en": 30, "de": 20}
        assert dataset_languages.left_out(dataset, "en") == 20
        asked = {"base": base, "recipe": None, "user": None}
        assert training_jobs.create(session, dataset, **asked).options["language"] == "en"
        assert training_jobs.create(session, dataset, **asked, language="de-AT").options["language"] == "de"
        with pytest.raises(InvalidInput, match="has no captions in fr; give one of de, en"):
            training_jobs.create(session, dataset, **asked, language="fr")
        photos = training_photos.of_dataset(blobs, dataset, source="dataset")
        english, german = (
            {one.sha256 for one in training_photos.of_dataset(blobs, dataset, source="dataset", language=tag)}
            for tag in ("en", "de")
        )
        assert german
        assert english == {photo.sha256 for photo in photos} - german
        replayed = training_photos.replayed(session, blobs, [], base.id, share=0.75, seed=1, language="de")
        assert replayed == []
