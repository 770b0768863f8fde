"""What the doctor finds, and what of it can be repaired."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import delete, insert, select, update

from catalog import captions, collections, datasets, items, jobs
from catalog.blobs.local import LocalBlobs
from catalog.commands import doctor_command, import_command
from catalog.database import Database
from catalog.doctor import Doctor, Finding
from catalog.ingest import ingest, pictures_of, remove_blobs
from catalog.schema import (
    ITEM_COUNTS,
    Caption,
    CaptionDetail,
    Checkpoint,
    Chunk,
    ChunkState,
    Collection,
    Dataset,
    DatasetKind,
    Evaluation,
    Image,
    Item,
    Job,
    JobItem,
    JobItemState,
    JobKind,
    JobState,
    Origin,
    ReviewState,
    Split,
    TrainingRun,
)
from pictures.sandbox import DecodingProcess

Photo = Callable[..., Path]
Examined = Callable[..., list[Finding]]


@pytest.fixture
def examined(database: Database, blobs: LocalBlobs, decoder: DecodingProcess) -> Examined:
    def run(**options: bool) -> list[Finding]:
        return list(Doctor(database=database, blobs=blobs, decoder=decoder, **options).findings())

    return run


@pytest.fixture
def image(
    database: Database, blobs: LocalBlobs, decoder: DecodingProcess, photo: Photo, tmp_path: Path
) -> Image:
    """The picture of the one item of a collection."""
    with database.writing() as session:
        collection_id = collections.create(session, name="Harbour", owner=None).id
    photo(tmp_path / "photos" / "boats.jpg", 1)
    list(ingest(database, blobs, decoder, collection_id, pictures_of(tmp_path / "photos")))
    with database.reading() as session:
        return session.scalars(select(Image)).one()


def age(path: Path) -> None:
    an_hour_ago = time.time() - 3700
    os.utime(path, (an_hour_ago, an_hour_ago))


def test_a_healthy_installation_has_nothing(examined: Examined, image: Image) -> None:
    assert examined() == []


def test_manifests_that_are_missing_or_tampered_with_are_found(
    examined: Examined, image: Image, blobs: LocalBlobs, database: Database
) -> None:
    with database.writing() as session:
        item = session.scalars(select(Item)).one()
        captions.write(session, item, text="A boat.", user=None)
    frozen = datasets.freeze(database, blobs, item.collection_id, "boats")
    assert examined() == []
    with database.reading() as session:
        key = datasets.get(session, frozen.dataset_id, viewer=None).manifest_sha256
    path = blobs.path(key)
    path.write_bytes(path.read_bytes().replace(b"boat", b"goat"))
    (finding,) = examined(repair=True)
    assert finding.problem == f"the manifest of dataset boats@1 ({key[:12]}) is damaged"
    assert f"/damaged/{key}" in finding.remedy
    (finding,) = examined()
    assert finding.problem.endswith("is missing")
    assert not finding.repaired
    again = datasets.freeze(database, blobs, item.collection_id, "boats")
    assert not again.is_new
    assert examined() == []


def test_predictions_and_training_files_that_are_missing_are_found(
    examined: Examined, image: Image, blobs: LocalBlobs, database: Database
) -> None:
    with database.writing() as session:
        item = session.scalars(select(Item)).one()
        captions.write(session, item, text="A boat.", user=None)
    frozen = datasets.freeze(database, blobs, item.collection_id, "boats")
    predictions, files = blobs.put(b"predictions"), blobs.put(b"files")
    with database.writing() as session:
        checkpoint = Checkpoint(
            name="tiny",
            weights_sha256=blobs.put(b"weights"),
            description_sha256=blobs.put(b"{}"),
            description={},
        )
        job = Job(kind=JobKind.TRAIN, state=JobState.DONE)
        session.add_all([checkpoint, job])
        session.flush()
        session.add(TrainingRun(job_id=job.id, line="boats", files_sha256=files))
        session.add(
            Evaluation(
                checkpoint_id=checkpoint.id,
                dataset_id=frozen.dataset_id,
                split=Split.TEST,
                result={},
                predictions_sha256=predictions,
            )
        )
    before = {finding.problem for finding in examined()}
    blobs.delete(predictions)
    blobs.delete(files)
    assert {finding.problem for finding in examined()} - before == {
        f"what 'tiny' wrote on boats@1 ({predictions[:12]}) is missing",
        f"the archive of the training of job {job.id} ({files[:12]}) is missing",
    }


def test_missing_hashes_are_computed_from_renditions(
    examined: Examined, image: Image, blobs: LocalBlobs, database: Database
) -> None:
    with database.writing() as session:
        session.execute(update(Image).values(dhash=None))
        rendition = image.rendition[:1] + "0" * 63
        session.add(
            Image(sha256="f" * 64, rendition=rendition, format="PNG", bytes=1, width=1, height=1, pages=1)
        )
    problem = "2 pictures have no hash by which their near-duplicates are found"
    assert [one.remedy for one in examined() if one.problem == problem] == ["can be computed"]
    (found,) = [one for one in examined(repair=True) if one.problem == problem]
    assert found.remedy == "1 computed, 1 have no rendition to compute it from"
    assert not found.repaired
    with database.writing() as session:
        hashes = {one.sha256: one.dhash for one in session.scalars(select(Image))}
        session.execute(delete(Image).where(Image.id != image.id))
    assert hashes == {image.sha256: image.dhash, "f" * 64: None}
    assert image.dhash is not None
    assert examined() == []


def test_a_lost_rendition_is_made_again(
    examined: Examined, image: Image, blobs: LocalBlobs, database: Database
) -> None:
    blobs.delete(image.rendition)
    (found,) = examined()
    assert found.problem.startswith("the rendition of boats.jpg")
    assert (found.remedy, found.repaired) == ("can be made again from the original", False)
    assert [one.repaired for one in examined(repair=True)] == [True]
    assert examined() == []
    with database.reading() as session:
        assert blobs.read(session.scalars(select(Image)).one().rendition).startswith(b"\xff\xd8")


def test_a_damaged_rendition_is_made_again_and_only_reading_tells(
    examined: Examined, image: Image, blobs: LocalBlobs
) -> None:
    blobs.path(image.rendition).write_bytes(b"other bytes")
    assert examined(every_byte=False) == []
    assert [one.repaired for one in examined(repair=True)] == [True]
    assert blobs.is_whole(image.rendition)
    assert examined() == []


def test_a_damaged_original_is_kept_aside_until_a_good_one_comes(
    examined: Examined,
    image: Image,
    blobs: LocalBlobs,
    database: Database,
    decoder: DecodingProcess,
    tmp_path: Path,
) -> None:
    blobs.path(image.sha256).write_bytes(b"half of it")
    (found,) = examined(repair=True)
    assert "boats.jpg" in found.problem
    assert "is damaged" in found.problem
    assert not found.repaired
    assert (blobs.folder / "damaged" / image.sha256).read_bytes() == b"half of it"
    assert [one.problem.endswith("is missing") for one in examined()] == [True]
    with database.reading() as session:
        collection_id = session.scalars(select(Collection.id)).one()
    list(ingest(database, blobs, decoder, collection_id, pictures_of(tmp_path / "photos")))
    assert examined() == []


def test_a_picture_that_somebody_deletes_meanwhile_is_not_missed(
    image: Image,
    blobs: LocalBlobs,
    database: Database,
    decoder: DecodingProcess,
    photo: Photo,
    tmp_path: Path,
) -> None:
    photo(tmp_path / "photos" / "pier.jpg", 2)
    with database.reading() as session:
        collection_id = session.scalars(select(Collection.id)).one()
    list(ingest(database, blobs, decoder, collection_id, pictures_of(tmp_path / "photos")))
    blobs.delete(image.rendition)
    findings = Doctor(database=database, blobs=blobs, decoder=decoder).findings()
    assert "boats.jpg" in next(findings).problem
    with database.writing() as session:
        pier = session.scalars(select(Item).where(Item.path == "pier.jpg")).one()
        keys = items.remove(session, pier, user=None)
    remove_blobs(database, blobs, keys)
    assert list(findings) == []


def test_a_checkpoints_files_belong_to_it_and_are_missed(
    examined: Examined, database: Database, blobs: LocalBlobs
) -> None:
    with database.writing() as session:
        held = Checkpoint(
            name="starter", weights_sha256=blobs.put(b"w"), description_sha256=blobs.put(b"d"), description={}
        )
        session.add(held)
        keys = held.weights_sha256, held.description_sha256
    for key in keys:
        age(blobs.path(key))
    assert examined() == []
    blobs.delete(keys[0])
    (found,) = examined(repair=True)
    assert found.problem == f"a file of checkpoint starter ({keys[0][:12]}) is missing"
    assert not found.repaired


def test_what_belongs_to_nothing_goes_once_it_is_old(
    examined: Examined, image: Image, blobs: LocalBlobs
) -> None:
    key = blobs.put(b"the row was never written")
    half = blobs.folder / "staged-x"
    half.write_bytes(b"cut")
    assert examined(repair=True) == [], "an import may be about to write the row"
    age(blobs.path(key))
    age(half)
    assert [(one.remedy, one.repaired) for one in examined()] == [("can be removed", False)] * 2
    assert [(one.remedy, one.repaired) for one in examined(repair=True)] == [("removed", True)] * 2
    assert list(blobs.folder.glob("staged-*")) == []
    assert sorted(blobs.keys()) == sorted([image.sha256, image.rendition])


@pytest.fixture
def job_id(database: Database, image: Image) -> int:
    """A job of one item, which is done."""
    with database.writing() as session:
        collection = collections.by_name(session, "Harbour")
        checkpoint = Checkpoint(
            name="c", weights_sha256="0" * 64, description_sha256="1" * 64, description={}
        )
        session.add(checkpoint)
        session.flush()
        job = jobs.create_caption_job(session, collection, checkpoint=checkpoint, user=None)
        session.execute(update(Chunk).values(state=ChunkState.FINISHED))
        session.execute(update(JobItem).values(state=JobItemState.DONE))
        job.state, job.done = JobState.DONE, 1
        return job.id


def problems(findings: list[Finding]) -> list[str]:
    return [one.problem for one in findings if "checkpoint" not in one.problem]


def test_a_job_that_nobody_ends_and_that_counts_wrong_is_corrected(
    examined: Examined, job_id: int, database: Database
) -> None:
    assert problems(examined()) == []
    with database.writing() as session:
        session.execute(update(Job).values(state=JobState.RUNNING, done=7))
    expected = [
        f"job {job_id} counts wrong: done 1 instead of 7",
        f"job {job_id} is running although none of its chunks is open",
    ]
    assert problems(examined()) == problems(examined(repair=True)) == expected
    assert problems(examined()) == []
    with database.reading() as session:
        job = session.get_one(Job, job_id)
        assert (job.state, job.done) == (JobState.DONE, 1)
        assert job.finished_at


def test_the_items_that_were_deleted_go_on_counting(
    examined: Examined, job_id: int, database: Database
) -> None:
    with database.writing() as session:
        items.remove(session, session.scalars(select(Item)).one(), user=None)
    assert [one for one in problems(examined()) if "counts" in one] == []


def test_a_wrong_review_state_is_corrected(examined: Examined, image: Image, database: Database) -> None:
    with database.writing() as session:
        item = session.scalars(select(Item)).one()
        captions.write(session, item, text="Two boats", user=None)
        session.execute(update(Item).values(review_state=ReviewState.REJECTED))
    (found,) = examined(repair=True)
    assert "boats.jpg" in found.problem
    assert "rejected" in found.problem
    assert examined() == []
    with database.reading() as session:
        assert session.scalars(select(Item.review_state)).one() is ReviewState.ACCEPTED


def test_a_wrong_doubt_is_corrected(examined: Examined, image: Image, database: Database) -> None:
    with database.writing() as session:
        item = session.scalars(select(Item)).one()
        caption = Caption(item_id=item.id, text="Two boats", origin=Origin.MODEL)
        session.add(caption)
        session.flush()
        session.add(
            CaptionDetail(
                caption_id=caption.id,
                model_text="Two boats",
                score=-1.0,
                confidence=0.3,
                tokens=[],
                token_probabilities=[],
                alternatives=[],
            )
        )
        session.flush()
        captions.refresh_review_state(session, [item.id])
    assert examined() == []
    with database.writing() as session:
        session.execute(update(Item).values(doubt=0.125))
    (found,) = examined()
    assert "boats.jpg (item 1) has a doubt of 0.125, but its captions say otherwise" in found.problem
    assert [one.repaired for one in examined(repair=True)] == [True]
    assert examined() == []
    with database.reading() as session:
        assert session.scalars(select(Item.doubt)).one() == pytest.approx(0.7)


def test_a_wrong_number_of_items_is_corrected(examined: Examined, image: Image, database: Database) -> None:
    with database.writing() as session:
        session.execute(insert(ITEM_COUNTS).values(collection_id=1, review_state="pending", items=3))
        session.execute(insert(ITEM_COUNTS).values(collection_id=1, review_state="uncaptioned", items=-1))
    found = examined()
    assert problems(found) == [
        "Harbour counts 3 items as pending, but has 0",
        "Harbour counts 0 items as uncaptioned, but has 1",
    ]
    assert all(one.repaired for one in examined(repair=True))
    assert examined() == []
    with database.reading() as session:
        shown = collections.summary(session, session.get_one(Collection, 1))
        assert shown.states == {ReviewState.UNCAPTIONED: 1}


def test_the_command_says_what_is_left(photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECAPTION_HOME", str(tmp_path / "home"))
    CliRunner().invoke(import_command, ["Harbour", str(photo(tmp_path / "boats.jpg"))])
    assert CliRunner().invoke(doctor_command).exit_code == 0
    for blob in (tmp_path / "home" / "blobs").glob("??/*"):
        blob.unlink()
    said = CliRunner().invoke(doctor_command, ["--repair"])
    assert said.exit_code == 1
    assert "boats.jpg" in said.output
    assert "import the picture again" in said.output
    assert "1 problem found, 0 repaired" in said.output


def test_photos_of_golden_datasets_that_are_free_to_train_on_are_found(
    database: Database, blobs: LocalBlobs, examined: Examined, image: Image
) -> None:
    with database.writing() as session:
        item = session.scalars(select(Item)).one()
        captions.write(session, item, text="A boat.", user=None)
    datasets.freeze(database, blobs, item.collection_id, "boats")
    assert examined() == []
    with database.writing() as session:
        session.execute(update(Dataset).values(kind=DatasetKind.GOLDEN))
    (finding,) = examined()
    assert finding.problem == "photos of the golden dataset boats@1 are free to train on: 1"
    with database.writing() as session:
        session.execute(update(Image).values(split=Split.GOLDEN))
    assert examined() == []
