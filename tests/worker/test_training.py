"""Whole train jobs, in this process but for the children that train."""

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from catalog import (
    datasets,
    items,
    job_control,
    manifests,
    splits,
    training_files,
    training_jobs,
    training_photos,
    training_runs,
    workers,
)
from catalog.blobs import open_blobs
from catalog.database import Database
from catalog.errors import Conflict, StaleToken, StorageFull
from catalog.ingest import remove_blobs
from catalog.schema import (
    Caption,
    CaptionState,
    Checkpoint,
    CheckpointState,
    Dataset,
    DatasetImage,
    Image,
    Item,
    Job,
    JobEvent,
    JobState,
    Origin,
    ReviewState,
    Split,
    TrainingRun,
)
from catalog.settings import load_settings
from tests.worker.corrected import PHOTOS, collect, collection_of, frozen, register_base, start, tiny_base
from worker import children, measuring, training, training_data
from worker.runtime import Runtime
from worker.shared import Flag

ENDED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def runtime(tmp_path: Path, migrated_sqlite: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    """A worker of the train queue, with a database and a store of its own."""
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(migrated_sqlite, home / "recaption.sqlite")
    settings = load_settings({"RECAPTION_HOME": str(home), "OMP_NUM_THREADS": "1"})
    database = Database(settings.database_url)
    with database.writing() as session:
        worker_id = workers.register(session, name="one", device="cpu", version="1", queue="train")
    monkeypatch.setattr(children, "LOOK_EVERY", 0.05)
    yield Runtime(settings=settings, worker_id=worker_id, name="one", device="cpu", stopping=Flag())
    database.close()


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What would have been measured: that has tests of its own."""
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(measuring, "measure", lambda runtime, **asked_for: asked.append(asked_for))
    return asked


def job_of(runtime: Runtime, job_id: int) -> Job:
    with runtime.database.reading() as session:
        return session.get_one(Job, job_id)


def run_of(runtime: Runtime, job_id: int) -> TrainingRun:
    with runtime.database.reading() as session:
        return session.get_one(TrainingRun, job_id)


def made_by(runtime: Runtime, job_id: int) -> Checkpoint:
    with runtime.database.reading() as session:
        return session.get_one(Checkpoint, run_of(runtime, job_id).checkpoint_id)


def said(runtime: Runtime, job_id: int) -> str:
    with runtime.database.reading() as session:
        return "\n".join(session.scalars(select(JobEvent.text).where(JobEvent.job_id == job_id)))


def corrected(runtime: Runtime, base: Path, **counts: int) -> tuple[int, int]:
    """The ids of a dataset and of the base."""
    base_id = register_base(runtime.database, runtime.blobs, base)
    collection_id = collect(runtime.database, runtime.blobs, "Harbour", **counts)
    return frozen(runtime.database, runtime.blobs, collection_id, "harbour"), base_id


def test_a_job_trains_publishes_and_is_measured(
    runtime: Runtime, base: Path, unmeasured: list[dict[str, Any]]
) -> None:
    dataset_id, base_id = corrected(runtime, base)
    job_id = start(runtime.database, dataset_id, base_id, replay=0.0)
    training.drain(runtime)
    job, run = job_of(runtime, job_id), run_of(runtime, job_id)
    assert (job.state, job.error, job.done, job.total) == (JobState.DONE, None, 3, 3)
    assert [row["epoch"] for row in run.epochs] == [1, 2, 3]
    assert run.losses
    made = made_by(runtime, job_id)
    assert (made.name, made.state) == ("harbour-1", CheckpointState.CANDIDATE)
    lineage = made.description["lineage"]
    assert (lineage["parent"], lineage["data"]["dataset"]) == ("tiny", "harbour@1")
    assert lineage["data"]["language"] == "en"
    assert lineage["training_sources"] == {"dataset": run.data["new"]}
    assert "harbour" in made.description["vocabulary"]
    assert run.data["new_words"] > 0
    assert [asked["candidate_id"] for asked in unmeasured] == [made.id]
    assert not list((runtime.settings.home / "training").iterdir())
    assert run.files_sha256
    with runtime.blobs.local(run.files_sha256) as path:
        training_files.restore(runtime.blobs, run.files_sha256, path.parent.parent / "kept")
    kept = [path.name for path in (runtime.settings.home / "blobs" / "kept").rglob("*") if path.is_file()]
    assert kept == ["log.jsonl"]


def test_without_earlier_data_the_base_captions_photos_that_nobody_has_reviewed(
    runtime: Runtime, base: Path, unmeasured: list[dict[str, Any]]
) -> None:
    dataset_id, base_id = corrected(runtime, base, waiting=30)
    job_id = start(runtime.database, dataset_id, base_id)
    training.drain(runtime)
    run, lineage = run_of(runtime, job_id), made_by(runtime, job_id).description["lineage"]
    assert 10 < run.data["distilled"] <= 30
    assert lineage["training_sources"]["distilled"] == run.data["distilled"]
    assert "too few others are there to replay" in said(runtime, job_id)
    with runtime.database.reading() as session:
        asked = session.scalars(select(Image.split).where(Image.split.is_not(None))).all()
    assert asked.count(Split.TRAIN) == run.data["new"] + run.data["distilled"]

    # The next one of the line has earlier data.
    collection = collection_of(runtime.database, "Harbour")
    other = collect(runtime.database, runtime.blobs, "Mountains", seed=1)
    again_id = start(
        runtime.database,
        frozen(runtime.database, runtime.blobs, other, "mountains"),
        made_by(runtime, job_id).id,
    )
    training.drain(runtime)
    again = run_of(runtime, again_id)
    assert again.data["distilled"] == 0
    assert again.data["replay"] == run.data["new"]
    assert collection.name == "Harbour"
    assert "of earlier datasets" in said(runtime, again_id)


def test_a_line_that_grows_distils_what_it_can_replay_no_more(
    runtime: Runtime, base: Path, unmeasured: list[dict[str, Any]]
) -> None:
    dataset_id, base_id = corrected(runtime, base, waiting=30)
    first_id = start(runtime.database, dataset_id, base_id, replay=0.0)
    training.drain(runtime)
    assert "earlier photos are not replayed" in said(runtime, first_id)
    # All that the first one learnt from is in the next version, and one photo that may not be learnt from.
    with runtime.database.writing() as session:
        new, gone = session.scalars(select(Item).where(Item.review_state == ReviewState.UNCAPTIONED)).all()[
            :2
        ]
        new.review_state = ReviewState.ACCEPTED
        session.add(
            Caption(item_id=new.id, text="A new boat.", state=CaptionState.ACCEPTED, origin=Origin.WRITTEN)
        )
        gone.training_prohibited = True
    collection_id = collection_of(runtime.database, "Harbour").id
    second = frozen(runtime.database, runtime.blobs, collection_id, "harbour")
    learnt = select(Item).join(DatasetImage, DatasetImage.image_id == Item.image_id)
    with runtime.database.writing() as session:
        of_second = (DatasetImage.dataset_id == second, DatasetImage.split == Split.TRAIN)
        taken_back = session.scalars(learnt.where(*of_second)).first()
        assert taken_back
        taken_back.training_prohibited = True
    job_id = start(runtime.database, second, made_by(runtime, first_id).id)
    training.drain(runtime)
    assert job_of(runtime, job_id).error is None
    data, lineage = run_of(runtime, job_id).data, made_by(runtime, job_id).description["lineage"]
    assert (data["replay"], data["prohibited"], data["wanted"]) == (0, 1, 1000)
    assert 10 < data["distilled"] <= 28
    assert lineage["training_sources"] == {"dataset": data["new"], "distilled": data["distilled"]}
    assert lineage["data"]["photos"]["wanted"] == 1000
    assert "1,000 earlier ones were wanted, and there are no more" in said(runtime, job_id)
    assert "training on them is prohibited by now: 1" in said(runtime, job_id)


def test_where_nothing_is_there_to_replay_or_distil_the_log_says_so(
    runtime: Runtime, base: Path, unmeasured: list[dict[str, Any]]
) -> None:
    dataset_id, base_id = corrected(runtime, base)
    job_id = start(runtime.database, dataset_id, base_id)
    training.drain(runtime)
    assert job_of(runtime, job_id).state is JobState.DONE
    assert "no other photos to replay or to distil" in said(runtime, job_id)


def test_photos_that_cannot_be_read_or_are_gone_are_not_distilled(
    runtime: Runtime, base: Path, unmeasured: list[dict[str, Any]]
) -> None:
    dataset_id, base_id = corrected(runtime, base, waiting=30)
    waiting = select(Image).join(Item).where(Item.review_state == ReviewState.UNCAPTIONED)
    with runtime.database.writing() as session:
        images = [one for one in session.scalars(waiting) if splits.of_hash(one.sha256) is Split.TRAIN]
        images[0].rendition = runtime.blobs.put(b"no picture")
        runtime.blobs.delete(images[1].rendition)
    job_id = start(runtime.database, dataset_id, base_id)
    training.drain(runtime)
    assert job_of(runtime, job_id).error is None
    assert run_of(runtime, job_id).data["distilled"] == len(images) - 2


def delete_distilled(runtime: Runtime, folder: Path) -> str:
    """Delete one of the photos that the base captioned for a training, as a person does; returns its hash."""
    chosen = training_photos.read_list(folder / "photos.jsonl")
    sha256 = next(photo.sha256 for photo in chosen if photo.source == "distilled")
    with runtime.database.writing() as session:
        item = session.scalars(select(Item).join(Image).where(Image.sha256 == sha256)).one()
        keys = items.remove(session, item, user=None)
    assert remove_blobs(runtime.database, runtime.blobs, keys).gone == 1
    return sha256


def test_a_training_goes_on_elsewhere_with_the_photos_it_began_with_or_not_at_all(
    runtime: Runtime,
    base: Path,
    unmeasured: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dataset_id, base_id = corrected(runtime, base, waiting=30)
    long = ["training.epochs=5000", "training.patience=0", "training.tensorboard=false"]
    job_id = start(runtime.database, dataset_id, base_id, overrides=long)
    keep = training._keep

    def keep_and_pause(child: children.Children, sha256: str) -> None:
        keep(child, sha256)
        if job_of(runtime, job_id).state is JobState.RUNNING:
            obey(runtime, job_id, "pause")

    with monkeypatch.context() as patched:
        patched.setattr(training, "_keep", keep_and_pause)
        training.drain(runtime)
    assert job_of(runtime, job_id).state is JobState.PAUSED
    deleted = delete_distilled(runtime, runtime.settings.home / "training" / f"job-{job_id}")
    settings = load_settings(
        {
            "RECAPTION_HOME": str(tmp_path / "elsewhere"),
            "RECAPTION_DATABASE_URL": runtime.settings.database_url,
            "RECAPTION_BLOBS": str(runtime.settings.home / "blobs"),
            "OMP_NUM_THREADS": "1",
        }
    )
    elsewhere = Runtime(
        settings=settings, worker_id=runtime.worker_id, name="two", device="cpu", stopping=Flag()
    )
    obey(elsewhere, job_id, "resume")
    training.drain(elsewhere)
    job = job_of(runtime, job_id)
    assert job.state is JobState.FAILED
    assert f"photo {deleted[:12]}, which the base captioned for this training, was deleted" in str(job.error)
    assert "start a new one of the same dataset" in str(job.error)
    assert run_of(runtime, job_id).checkpoint_id is None


def test_photos_that_are_deleted_before_anything_is_learnt_are_left_out_and_counted_so(
    runtime: Runtime, base: Path, unmeasured: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id, base_id = corrected(runtime, base, waiting=30)
    job_id = start(runtime.database, dataset_id, base_id)

    def interrupted(*given: object) -> None:
        obey(runtime, job_id, "pause")
        raise children.Interrupted("the job is paused")

    with monkeypatch.context() as patched:
        patched.setattr(training_data, "write_training_folder", interrupted)
        training.drain(runtime)
    before = run_of(runtime, job_id).data["distilled"]
    delete_distilled(runtime, runtime.settings.home / "training" / f"job-{job_id}")
    obey(runtime, job_id, "resume")
    training.drain(runtime)
    assert job_of(runtime, job_id).error is None
    lineage = made_by(runtime, job_id).description["lineage"]
    assert run_of(runtime, job_id).data["distilled"] == before - 1
    assert lineage["training_sources"]["distilled"] == before - 1
    assert lineage["data"]["photos"]["distilled"] == before - 1
    assert f"and {before - 1} photos with what the base says of them" in said(runtime, job_id)


def held_by(runtime: Runtime, base: Path) -> children.Children:
    """What runs commands for a job that is claimed."""
    job_id = start(runtime.database, *corrected(runtime, base))
    with runtime.database.writing() as session:
        held = training_runs.claim(session, worker_id=runtime.worker_id)
    assert held
    assert held.job_id == job_id
    folder = runtime.settings.home / "training" / f"job-{job_id}"
    return children.Children(runtime=runtime, held=held, folder=folder, output=folder / "output")


@pytest.mark.parametrize("command", ["caption", "evaluate", "train"])
def test_that_some_photos_failed_is_no_failure_but_of_training(
    runtime: Runtime, base: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    script = (
        "import sys; print('scores'); print('1 photo failed', file=sys.stderr); sys.exit(int(sys.argv[2]))"
    )
    monkeypatch.setattr(children, "own_command", lambda *given: [sys.executable, "-c", script, *given])
    child = held_by(runtime, base)
    if command == "train":
        with pytest.raises(children.ChildFailed, match="1 photo failed"):
            child.run([command, "1"])
    else:
        assert child.run([command, "1"]) == "scores\n"
    with pytest.raises(children.ChildFailed, match="1 photo failed"):
        child.run([command, "2"])


def test_the_lease_is_renewed_while_storage_takes_its_time(
    runtime: Runtime, base: Path, unmeasured: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []
    monkeypatch.setattr(children.Children, "look", lambda self: looks.append(place[-1]))
    place = ["between"]

    def slow(name: str, module: Any) -> None:
        quick = getattr(module, name)

        def slowed(*given: Any) -> Any:
            place.append(name)
            wait_until(lambda: name in looks)
            done = quick(*given)
            place.pop()
            return done

        monkeypatch.setattr(module, name, slowed)

    slow("publish", training_runs)
    slow("materialise", training_data)
    start(runtime.database, *corrected(runtime, base), replay=0.0)
    training.drain(runtime)
    assert {"publish", "materialise"} <= {*looks}
    assert [asked["look"].__name__ for asked in unmeasured] == ["<lambda>"]


def test_a_pause_is_obeyed_once_the_files_are_stored(runtime: Runtime) -> None:
    looked, ended = threading.Event(), []

    def look() -> None:
        looked.set()
        raise children.Interrupted("the job is paused")

    def work() -> None:
        assert looked.wait(timeout=60)
        time.sleep(0.3)
        ended.append(True)

    with pytest.raises(children.Interrupted):
        children.meanwhile(look, work)
    assert ended


def test_captions_of_some_origins_alone_are_learnt_from(
    runtime: Runtime, base: Path, unmeasured: list[dict[str, Any]]
) -> None:
    dataset_id, base_id = corrected(runtime, base, corrected=120)
    with runtime.database.reading() as session:
        dataset = session.get_one(Dataset, dataset_id)
    _, items = manifests.read(runtime.blobs, dataset.manifest_sha256)
    written = [
        item for item in items if item.split is Split.TRAIN and item.captions[0].origin == Origin.WRITTEN
    ]
    job_id = start(runtime.database, dataset_id, base_id, replay=0.0, origins=[Origin.WRITTEN])
    training.drain(runtime)
    assert training_jobs.MINIMUM_PHOTOS <= len(written) < 90
    assert run_of(runtime, job_id).data["new"] == len(written)
    assert made_by(runtime, job_id).description["lineage"]["data"]["origins"] == ["written"]


def test_what_cannot_be_trained_fails_with_the_reason_and_publishes_nothing(
    runtime: Runtime, base: Path, unmeasured: list[dict[str, Any]]
) -> None:
    dataset_id, base_id = corrected(runtime, base)
    wrong = start(runtime.database, dataset_id, base_id, overrides=["training.epoch=3"], replay=0.0)
    training.drain(runtime)
    job = job_of(runtime, wrong)
    assert job.state is JobState.FAILED
    assert 'unknown key "epoch"' in str(job.error)
    assert 'did you mean "epochs"?' in str(job.error)
    with runtime.database.reading() as session:
        assert session.scalars(select(Checkpoint.name)).all() == ["tiny"]


@pytest.mark.parametrize(
    ("status", "said", "reason"),
    [
        (1, "epoch 1\nError: no room in runs\n", "no room in runs"),
        (1, "Error: no room in runs\nTraceback of a thread\nOSError: disk full\n", "no room in runs"),
        (1, f"Error: no room in runs\n{'  in a thread' * 300}\nOSError: disk full\n", "no room in runs"),
        (1, "Traceback\nValueError: 3\n", "ValueError: 3"),
        (-9, "epoch 1\n", "its process was ended by SIGKILL, as the system does where memory runs out"),
        (2, "", "its process ended with status 2 and said nothing"),
    ],
)
def test_what_a_child_says_of_its_end_is_the_reason(status: int, said: str, reason: str) -> None:
    assert children._reason(status, said).startswith(reason)


def test_a_manifest_that_was_tampered_with_is_refused(
    runtime: Runtime, base: Path, unmeasured: list[dict[str, Any]]
) -> None:
    dataset_id, base_id = corrected(runtime, base)
    with runtime.database.reading() as session:
        key = session.get_one(Dataset, dataset_id).manifest_sha256
    path = runtime.settings.home / "blobs" / key[:2] / key
    path.write_bytes(path.read_bytes().replace(b"boat", b"goat"))
    job_id = start(runtime.database, dataset_id, base_id)
    training.drain(runtime)
    job = job_of(runtime, job_id)
    assert job.state is JobState.FAILED
    assert "its bytes are no longer those that were stored" in str(job.error)
    assert not unmeasured


def test_photos_that_are_held_back_while_the_job_waits_are_not_learnt_from(
    runtime: Runtime, base: Path, unmeasured: list[dict[str, Any]]
) -> None:
    dataset_id, base_id = corrected(runtime, base)
    job_id = start(runtime.database, dataset_id, base_id, replay=0.0)
    with runtime.database.writing() as session:
        learnt = session.scalars(select(Image).where(Image.split == Split.TRAIN)).first()
        tested = session.scalars(select(Image).where(Image.split == Split.TEST)).first()
        assert learnt
        assert tested
        learnt.dhash = tested.dhash = 0x5555_0F0F_3333_1111
    training.drain(runtime)
    job = job_of(runtime, job_id)
    assert job.state is JobState.FAILED
    assert "1 photo of harbour@1 that would be learnt from looks like test or golden photos" in str(job.error)


def test_a_dataset_of_one_sentence_fails_with_the_reason(
    runtime: Runtime, base: Path, unmeasured: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.worker.corrected.THINGS", ("boat",))
    monkeypatch.setattr("tests.worker.corrected.PLACES", ("the harbour",))
    dataset_id, base_id = corrected(runtime, base)
    with pytest.raises(Conflict, match="different words"):
        start(runtime.database, dataset_id, base_id)


def test_a_dataset_that_is_trained_on_cannot_be_deleted(runtime: Runtime, base: Path) -> None:
    dataset_id, base_id = corrected(runtime, base)
    start(runtime.database, dataset_id, base_id)
    with runtime.database.writing() as session, pytest.raises(Conflict):
        datasets.remove(session, session.get_one(Dataset, dataset_id), user=None)


def test_a_worker_bounds_the_features_that_its_home_keeps(
    runtime: Runtime, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[Sequence[str]] = []

    def note(self: children.Children, arguments: Sequence[str]) -> str:
        commands.append(arguments)
        raise children.ChildFailed("noted")

    monkeypatch.setattr(children.Children, "run", note)
    start(runtime.database, *corrected(runtime, base), replay=0.0)
    training.drain(runtime)
    (command,) = commands
    options = command[: command.index("--")]
    assert options[options.index("--cache") + 1] == str(runtime.settings.home / "cache" / "features")
    assert options[options.index("--cache-size") + 1] == "20"


def test_a_full_store_fails_the_job_and_publishes_nothing(
    runtime: Runtime, base: Path, unmeasured: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id, base_id = corrected(runtime, base)
    job_id = start(runtime.database, dataset_id, base_id, replay=0.0)

    def full(source: object) -> str:
        raise StorageFull("the disk that holds the blobs is full; free some space there and do it again")

    with monkeypatch.context() as patched:
        patched.setattr(runtime.blobs, "put", full)
        training.drain(runtime)
    job = job_of(runtime, job_id)
    assert (job.state, run_of(runtime, job_id).checkpoint_id) == (JobState.FAILED, None)
    assert "is full; free some space" in str(job.error)
    with runtime.database.writing() as session:
        job_control.retry_failed(session, session.get_one(Job, job_id), user=None)
    training.drain(runtime)
    assert job_of(runtime, job_id).state is JobState.DONE
    assert made_by(runtime, job_id).name == "harbour-1"


def test_a_disk_that_fills_while_training_fails_the_job_in_plain_words(
    runtime: Runtime,
    base: Path,
    unmeasured: list[dict[str, Any]],
    small_disk: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # That copy needs room, too, and either may be the first for which there is none.
    monkeypatch.setattr(training_files, "save", lambda blobs, folder: None)
    dataset_id, base_id = corrected(runtime, base)
    (runtime.settings.home / "training").symlink_to(small_disk)
    job_id = start(runtime.database, dataset_id, base_id, replay=0.0)
    training.drain(runtime)
    job = job_of(runtime, job_id)
    assert job.state is JobState.FAILED
    assert "No space left on device" in str(job.error)
    assert run_of(runtime, job_id).checkpoint_id is None


@pytest.mark.parametrize("order", ["cancel", "pause", "stop"])
def test_a_training_obeys_within_seconds_and_leaves_no_process(
    runtime: Runtime,
    base: Path,
    unmeasured: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    order: str,
) -> None:
    dataset_id, base_id = corrected(runtime, base)
    long = ["training.epochs=5000", "training.patience=0", "training.tensorboard=false"]
    job_id = start(runtime.database, dataset_id, base_id, overrides=long, replay=0.0)
    started: list[int] = []
    give_way = children.Children._give_way

    def noting(self: children.Children, process: Any) -> None:
        started.append(process.pid)
        give_way(self, process)

    monkeypatch.setattr(children.Children, "_give_way", noting)
    worker = threading.Thread(target=training.drain, args=(runtime,))
    worker.start()
    try:
        wait_until(lambda: bool(run_of(runtime, job_id).files_sha256))
        obey(runtime, job_id, order)
        worker.join(30)
    finally:
        runtime.stopping.set()
        worker.join(60)
    assert not worker.is_alive()
    with pytest.raises(ProcessLookupError):
        os.killpg(started[0], 0)
    expected = {"cancel": JobState.CANCELLED, "pause": JobState.PAUSED, "stop": JobState.RUNNING}
    assert job_of(runtime, job_id).state is expected[order]
    assert bool(run_of(runtime, job_id).files_sha256)
    training.sweep(runtime)
    left = (runtime.settings.home / "training" / f"job-{job_id}").exists()
    assert left == (order != "cancel")
    assert bool(run_of(runtime, job_id).files_sha256) == (order != "cancel")


def obey(runtime: Runtime, job_id: int, order: str) -> None:
    if order == "stop":
        runtime.stopping.set()
        return
    change: Callable[..., None] = getattr(job_control, order)
    with runtime.database.writing() as session:
        change(session, session.get_one(Job, job_id), user=None)


def wait_until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_saved_files_go_on_elsewhere_and_equal_files_are_equal_bytes(
    runtime: Runtime, tmp_path: Path
) -> None:
    folder = tmp_path / "job-1"
    (folder / "output" / "training").mkdir(parents=True)
    for name, content in {
        "photos.jsonl": "{}\n",
        "output/training/state.safetensors": "state",
        "output/training/log.jsonl": "log",
        "output/training/lock": "",
        "output/training/progress.json": "{}",
    }.items():
        (folder / name).write_text(content)
    first = training_files.save(runtime.blobs, folder)
    os.utime(folder / "photos.jsonl", (1, 1))
    assert training_files.save(runtime.blobs, folder) == first
    assert first
    training_files.restore(runtime.blobs, first, tmp_path / "other")
    names = {str(path.relative_to(tmp_path / "other")) for path in (tmp_path / "other").rglob("*.*")}
    assert names == {"photos.jsonl", "output/training/state.safetensors", "output/training/log.jsonl"}


def test_saving_where_no_room_is_left_says_so_and_leaves_nothing(runtime: Runtime, small_disk: Path) -> None:
    (small_disk / "output" / "training").mkdir(parents=True)
    state = small_disk / training_files.STATE
    state.write_bytes(bytes(3 << 19))
    with pytest.raises(StorageFull, match=f"the disk that holds '{small_disk}' is full"):
        training_files.save(runtime.blobs, small_disk)
    assert [path for path in small_disk.rglob("*") if path.is_file()] == [state]


def test_saved_files_that_come_too_late_or_are_gone_are_kept_by_nothing(runtime: Runtime, base: Path) -> None:
    child = held_by(runtime, base)
    first, gone, late = (runtime.blobs.put(content) for content in (b"first", b"gone", b"late"))
    training._keep(child, first)
    runtime.blobs.delete(gone)
    training._keep(child, gone)
    assert run_of(runtime, child.held.job_id).files_sha256 == first
    obey(runtime, child.held.job_id, "cancel")
    for key in (first, late):
        with pytest.raises(StaleToken):
            training._keep(child, key)
    # What the run names stays until it is swept.
    assert (runtime.blobs.exists(first), runtime.blobs.exists(late)) == (True, False)


def test_a_restore_that_is_cut_off_leaves_no_state_to_go_on_with(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, other = tmp_path / "job-1", tmp_path / "job-2"
    (folder / "output" / "training").mkdir(parents=True)
    for name in ("photos.jsonl", str(training_files.STATE), str(training_files.LOG)):
        (folder / name).write_text(name)
    key = training_files.save(runtime.blobs, folder)
    assert key
    extract = training_files._extract
    with monkeypatch.context() as patched:
        patched.setattr(training_files, "_extract", cut_off(extract))
        with pytest.raises(KeyboardInterrupt):
            training_files.restore(runtime.blobs, key, other)
    assert not (other / training_files.STATE).exists()
    training_files.restore(runtime.blobs, key, other)
    found = {str(path.relative_to(other)) for path in other.rglob("*") if path.is_file()}
    assert found == {"photos.jsonl", str(training_files.STATE), str(training_files.LOG)}


def cut_off(extract: Callable[..., None]) -> Callable[..., None]:
    """As `extract`, but killed after the first file."""
    done: list[bool] = []

    def once(*given: Any) -> None:
        if done:
            raise KeyboardInterrupt
        extract(*given)
        done.append(True)

    return once


def test_files_are_not_saved_in_the_moment_in_which_the_checkpoint_is_replaced(
    runtime: Runtime, tmp_path: Path
) -> None:
    folder = tmp_path / "job-1"
    (folder / "output").mkdir(parents=True)
    (folder / "output" / "weights.safetensors").write_bytes(b"new")
    (folder / "output" / "checkpoint.json").write_text(json.dumps({"weights_sha256": "0" * 64}))
    assert training_files.save(runtime.blobs, folder) is None
    assert open_blobs(runtime.settings).exists("0" * 64) is False


def test_captions_in_other_languages_are_left_out_and_counted(
    runtime: Runtime, base: Path, unmeasured: list[dict[str, Any]]
) -> None:
    base_id = register_base(runtime.database, runtime.blobs, base)
    collection_id = collect(runtime.database, runtime.blobs, "Harbour", corrected=PHOTOS + 10)
    with runtime.database.writing() as session:
        last = select(Caption.id).order_by(Caption.id.desc()).limit(10).scalar_subquery()
        german = {"language": "de", "text": "Ein Schaukelpferd."}
        session.execute(update(Caption).where(Caption.id.in_(last)).values(german))
    dataset_id = frozen(runtime.database, runtime.blobs, collection_id, "harbour")
    job_id = start(runtime.database, dataset_id, base_id, replay=0.0)
    training.drain(runtime)
    assert run_of(runtime, job_id).data["other_languages"] == 10
    assert "left out, for they are in other languages: 10 captions" in said(runtime, job_id)
    assert "schaukelpferd" not in made_by(runtime, job_id).description["vocabulary"]
