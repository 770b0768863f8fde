"""A candidate measured beside the active checkpoint, with networks that are built in a moment."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from statistics import stdev

import pytest
import torch
from click.testing import CliRunner
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from catalog import checkpoints, collections, gate, jobs, manifests, promotions, regressions
from catalog.blobs.local import LocalBlobs
from catalog.errors import MissingBlob
from catalog.manifests import FrozenCaption, FrozenItem, Header
from catalog.schema import (
    Caption,
    Checkpoint,
    CheckpointState,
    Collection,
    Comparison,
    Dataset,
    DatasetImage,
    DatasetKind,
    Evaluation,
    HistoryEntry,
    Image,
    Impact,
    Item,
    Job,
    JobKind,
    JobState,
    Origin,
    ReviewState,
    Split,
)
from model.captioner import build_captioner, preprocessing_of
from model.checkpoint import save_checkpoint
from model.config import Recipe, override
from model.description import Description
from model.vocabulary import SPECIALS, Vocabulary
from recaption import cli
from worker import captioning, children, measuring
from worker.runtime import Runtime

PHOTOS = 12
SMALL = (
    "data.image_size=64",
    "data.min_count=1",
    "encoder.weights=none",
    "decoder.embedding_size=16",
    "decoder.hidden_size=24",
    "decoder.attention_size=16",
    "search.max_length=6",
    "training.precision=float32",
)
WORDS = ("a", "red", "boat", "at", "sea", "two", "men", "dog", "runs", "in", "snow")


class Killed(Exception):
    """Stands for a worker that is killed while a child process runs."""


@dataclass
class Here:
    """Runs our commands in this process, and counts them; `ends_after` of them it is killed."""

    ends_after: int | None = None
    ends_with: int = 0
    arguments: list[Sequence[str]] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def run(self, arguments: Sequence[str]) -> str:
        if self.ends_after is not None and len(self.commands) >= self.ends_after:
            raise Killed
        self.commands.append(arguments[0])
        self.arguments.append(arguments)
        result = CliRunner().invoke(cli, list(arguments), catch_exceptions=False)
        assert result.exit_code == self.ends_with, result.output
        return result.stdout


@dataclass
class Scene:
    """What there is to measure, and the job that does."""

    runtime: Runtime
    active_id: int
    candidate_id: int
    collection_id: int
    dataset_id: int
    job_id: int

    def measure(self, folder: Path, here: Here, *, dataset: bool = True) -> None:
        measuring.measure(
            self.runtime,
            job_id=self.job_id,
            candidate_id=self.candidate_id,
            dataset_id=self.dataset_id if dataset else None,
            folder=folder,
            run=here.run,
            say=here.said.append,
        )

    def count(self, table: type) -> int:
        with self.runtime.database.reading() as session:
            return session.scalar(select(func.count()).select_from(table)) or 0


def tiny(folder: Path, seed: int) -> Path:
    """The folder of a random captioner for photos of 64 pixels."""
    recipe, vocabulary = override(Recipe(), SMALL), Vocabulary((*SPECIALS, *WORDS))
    torch.manual_seed(seed)
    captioner = build_captioner(recipe, vocabulary)
    captioner.decoder.get_parameter("embedding.weight").data *= 8
    description = Description(
        name=f"tiny-{seed}", recipe=recipe, vocabulary=vocabulary, preprocessing=preprocessing_of(recipe)
    )
    folder.mkdir()
    save_checkpoint(folder, captioner.state_dict(), description)
    return folder


@pytest.fixture
def scene(runtime: Runtime, photo: Callable[..., Path], tmp_path: Path) -> Scene:
    """Twelve photos of Harbour whose captions wait; they are frozen as a dataset and as two golden sets."""
    with runtime.database.writing() as session:
        active, candidate = (
            checkpoints.register(session, runtime.blobs, tiny(tmp_path / f"tiny-{seed}", seed), state=state)
            for seed, state in ((1, CheckpointState.ACTIVE), (2, CheckpointState.CANDIDATE))
        )
        harbour = collections.create(session, name="Harbour", owner=None)
        items = [
            waiting(session, runtime, harbour, active, photo(tmp_path / "photo.jpg", number), number)
            for number in range(PHOTOS)
        ]
        job = Job(kind=JobKind.TRAIN)
        session.add(job)
        boats, _, _ = (
            frozen(session, runtime, harbour, items, name, tmp_path / "manifest")
            for name in ("Boats", "Golden", "Other")
        )
    return Scene(runtime, active.id, candidate.id, harbour.id, boats.id, job.id)


def waiting(
    session: Session, runtime: Runtime, harbour: Collection, active: Checkpoint, path: Path, number: int
) -> tuple[Item, str]:
    """An item whose caption by the active checkpoint nobody has reviewed, and the key of its picture."""
    key = runtime.blobs.put(path)
    image = Image(sha256=key, rendition=key, format="JPEG", bytes=10, width=96, height=64)
    session.add(image)
    session.flush()
    item = Item(collection_id=harbour.id, image_id=image.id, path=f"{number}.jpg", position=number)
    item.review_state = ReviewState.PENDING
    session.add(item)
    session.flush()
    session.add(Caption(item_id=item.id, text="Boats.", origin=Origin.MODEL, checkpoint_id=active.id))
    return item, key


def frozen(
    session: Session,
    runtime: Runtime,
    harbour: Collection,
    items: Sequence[tuple[Item, str]],
    name: str,
    manifest: Path,
) -> Dataset:
    """A dataset of the items. Boats is what people corrected, of which all but one photo is held out."""
    kind = DatasetKind.CURATED if name == "Boats" else DatasetKind.GOLDEN
    held = Split.TEST if name == "Boats" else Split.GOLDEN
    splits = [Split.TRAIN if name == "Boats" and place == 0 else held for place in range(PHOTOS)]
    rows = [
        FrozenItem(
            item_id=item.id,
            path=item.path,
            sha256=key,
            rendition=key,
            width=96,
            height=64,
            split=split,
            captions=(reference(place, blind=kind is DatasetKind.GOLDEN),),
        )
        for place, ((item, key), split) in enumerate(zip(items, splits, strict=True))
    ]
    manifests.write(manifest, Header(kind=kind, collection="Harbour", filter={}, guidelines=name), rows)
    dataset = Dataset(
        name=name,
        version=1,
        kind=kind,
        collection_id=harbour.id,
        manifest_sha256=runtime.blobs.put(manifest),
        images=PHOTOS,
    )
    session.add(dataset)
    session.flush()
    for (item, _), split in zip(items, splits, strict=True):
        session.add(DatasetImage(dataset_id=dataset.id, image_id=item.image_id, split=split))
    return dataset


def reference(place: int, *, blind: bool) -> FrozenCaption:
    origin = Origin.EDITED if place % 2 else Origin.WRITTEN
    text = f"A red {WORDS[place % len(WORDS)]} at sea."
    return FrozenCaption(text=text, language="en", kind="caption", origin=origin, blind=blind)


def test_a_candidate_is_scored_and_compared_on_the_held_out_split_and_all_golden_sets(
    scene: Scene, tmp_path: Path
) -> None:
    here = Here()
    scene.measure(tmp_path / "work", here)
    assert here.commands == ["evaluate"] * 3 + ["caption"]
    assert here.said[:3] == ["measuring on Boats@1", "measuring on Other@1", "measuring on Golden@1"]
    assert (scene.count(Evaluation), scene.count(Comparison)) == (6, 3)
    with scene.runtime.database.reading() as session:
        held_out = session.scalars(
            select(Evaluation).where(
                Evaluation.checkpoint_id == scene.candidate_id, Evaluation.split == Split.TEST
            )
        ).one()
        compared = session.scalars(select(Comparison).where(Comparison.split == Split.GOLDEN)).first()
        assert compared
        both = {
            row.checkpoint_id: row
            for row in session.scalars(select(Evaluation).where(Evaluation.dataset_id == compared.dataset_id))
        }
    assert (held_out.result["n"], held_out.result["origins"]) == (11, {"edited": 6, "written": 5})
    assert (held_out.result["checkpoint"], held_out.job_id) == ("tiny-2", scene.job_id)
    before, after = both[scene.active_id].result, both[scene.candidate_id].result
    assert before["origins"] == {"blind": 12}
    assert (compared.result["against"], compared.result["candidate"]) == (before["scores"], after["scores"])
    assert compared.result["difference"]["cider"]["value"] == pytest.approx(
        after["scores"]["cider"] - before["scores"]["cider"], abs=1e-5
    )
    assert (compared.look, compared.result["n"]) == (1, 12)
    ciders = [predicted(scene, both[id]) for id in (scene.active_id, scene.candidate_id)]
    differences = [one - other for other, one in zip(*ciders, strict=True)]
    assert compared.result["sd"] == pytest.approx(stdev(differences))


def predicted(scene: Scene, evaluation: Evaluation) -> list[float]:
    lines = scene.runtime.blobs.read(evaluation.predictions_sha256).decode().splitlines()
    return [json.loads(line)["cider"] for line in lines]


def test_the_gate_and_the_worst_regressions_read_what_was_measured(scene: Scene, tmp_path: Path) -> None:
    scene.measure(tmp_path / "work", Here())
    with scene.runtime.database.reading() as session:
        candidate, active = (
            session.get_one(Checkpoint, one) for one in (scene.candidate_id, scene.active_id)
        )
        said = gate.verdict(session, candidate, active)
        found = session.scalars(select(Comparison)).all()
        worse = [one for each in found for one in regressions.worst(session, scene.runtime.blobs, each)]
    assert (said.n, said.dataset, len(said.comparisons)) == (12, "Other@1", 2)
    assert all(one.drop > 0 and one.references[0].startswith("A red") for one in worse)


def test_references_in_other_languages_than_the_candidate_writes_are_not_measured_on(
    scene: Scene, tmp_path: Path
) -> None:
    with scene.runtime.database.writing() as session:
        candidate = session.get_one(Checkpoint, scene.candidate_id)
        candidate.description = {**candidate.description, "lineage": {"data": {"language": "pt"}}}
        for name, tag in (("Golden", "en"), ("Other", "pt-BR")):
            dataset = session.scalars(select(Dataset).where(Dataset.name == name)).one()
            dataset.card = {"languages": {tag: PHOTOS}}
            in_language(scene, dataset, lambda place, tag=tag: tag, tmp_path / "manifest")
        boats = session.get_one(Dataset, scene.dataset_id)
        in_language(scene, boats, lambda place: "pt" if place < 5 else "en", tmp_path / "manifest")
    here = Here()
    scene.measure(tmp_path / "work", here)
    assert here.said[:2] == ["measuring on Boats@1", "measuring on Other@1"]
    with scene.runtime.database.reading() as session:
        rows = session.execute(select(Evaluation.dataset_id, Evaluation.result)).all()
    assert {row.dataset_id: row.result["n"] for row in rows} == {boats.id: 4, dataset.id: 12}


def test_the_log_names_no_golden_set_of_another_collection(scene: Scene, tmp_path: Path) -> None:
    with scene.runtime.database.writing() as session:
        session.get_one(Job, scene.job_id).collection_id = scene.collection_id
        golden = session.scalars(select(Dataset).where(Dataset.name == "Golden")).one()
        golden.collection_id = collections.create(session, name="Vault", owner=None).id
    here = Here()
    scene.measure(tmp_path / "work", here)
    assert here.said[:3] == [
        "measuring on Boats@1",
        "measuring on Other@1",
        "measuring on a golden set of another collection",
    ]


def test_a_held_out_split_without_the_language_is_passed_over(scene: Scene, tmp_path: Path) -> None:
    with scene.runtime.database.writing() as session:
        candidate = session.get_one(Checkpoint, scene.candidate_id)
        candidate.description = {**candidate.description, "lineage": {"data": {"language": "pt"}}}
        session.execute(update(Dataset).values(card={"languages": {"en": PHOTOS}}))
    here = Here()
    scene.measure(tmp_path / "work", here)
    assert here.said[0] == "Boats@1 has no photo to measure on with references in pt"
    assert (scene.count(Evaluation), scene.count(Comparison)) == (0, 0)


def in_language(scene: Scene, dataset: Dataset, tag: Callable[[int], str], manifest: Path) -> None:
    """Let the captions of a frozen dataset be in a language each, by their place."""
    header, items = manifests.read(scene.runtime.blobs, dataset.manifest_sha256)
    rows = [
        replace(item, captions=tuple(replace(one, language=tag(place)) for one in item.captions))
        for place, item in enumerate(items)
    ]
    manifests.write(manifest, header, rows)
    dataset.manifest_sha256 = scene.runtime.blobs.put(manifest)


def test_a_job_that_was_killed_goes_on_and_looks_once(scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        scene.measure(tmp_path / "work", Here(ends_after=2))
    assert scene.count(Comparison) == 2
    here = Here()
    scene.measure(tmp_path / "work", here)
    assert here.commands == ["evaluate", "caption"]
    again = Here()
    scene.measure(tmp_path / "work", again)
    assert again.commands == ["caption"]
    assert (scene.count(Evaluation), scene.count(Comparison), scene.count(Impact)) == (6, 3, 1)
    with scene.runtime.database.reading() as session:
        assert session.scalars(select(Comparison.look).order_by(Comparison.id)).all() == [1, 1, 2]


def test_what_the_active_checkpoint_wrote_before_is_not_written_again(scene: Scene, tmp_path: Path) -> None:
    alone = Scene(
        scene.runtime, scene.active_id, scene.active_id, scene.collection_id, scene.dataset_id, another(scene)
    )
    alone.measure(tmp_path / "alone", Here(), dataset=False)
    kept = standing_of(scene)
    here = Here()
    scene.measure(tmp_path / "work", here)
    scored = ["--captions" in one for one in here.arguments if one[0] == "evaluate"]
    assert scored == [False, True, True]
    assert all(standing_of(scene)[id] == row for id, row in kept.items())
    with scene.runtime.database.reading() as session:
        found = session.scalars(select(Comparison).where(Comparison.split == Split.GOLDEN)).all()
        for one in found:
            before, after = (
                session.scalars(
                    select(Evaluation).where(
                        Evaluation.dataset_id == one.dataset_id, Evaluation.checkpoint_id == id
                    )
                ).one()
                for id in (scene.active_id, scene.candidate_id)
            )
            assert one.result["against"] == before.result["scores"]
            assert one.result["candidate"] == after.result["scores"]
            pairs = zip(predicted(scene, before), predicted(scene, after), strict=True)
            differences = [new - old for old, new in pairs]
            assert one.result["sd"] == pytest.approx(stdev(differences))
    assert len(found) == 2
    again = Here()
    scene.measure(tmp_path / "work", again)
    assert again.commands == ["caption"]


def test_captions_of_before_that_are_gone_are_written_again(scene: Scene, tmp_path: Path) -> None:
    scene.measure(tmp_path / "work", Here())
    with scene.runtime.database.reading() as session:
        rows = session.scalars(select(Evaluation).where(Evaluation.checkpoint_id == scene.active_id)).all()
    for row in rows:
        scene.runtime.blobs.delete(row.predictions_sha256)
    here = Here()
    scene.job_id = another(scene)
    scene.measure(tmp_path / "work", here)
    # Golden holds the same photos as Other, so that what is written for one is there for the other again.
    assert ["--captions" in one for one in here.arguments[:3]] == [False, False, True]
    assert here.commands == ["evaluate"] * 3 + ["caption"]


def test_predictions_that_are_removed_before_their_row_is_written_are_put_again(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, blobs = scene.runtime.database, scene.runtime.blobs
    insist = database.insist

    def after_a_removal(write: Callable[[Session], object]) -> object:
        with database.reading() as session:
            keys = list(blobs.keys())
            used = collections.used_blobs(session, keys)
        for key in set(keys) - used:
            blobs.delete(key)
        return insist(write)

    monkeypatch.setattr(database, "insist", after_a_removal)
    scene.measure(tmp_path / "work", Here())
    assert all(blobs.exists(key) for _, key, _ in standing_of(scene).values())


def another(scene: Scene) -> int:
    """The id of one more job that measures."""
    with scene.runtime.database.writing() as session:
        job = Job(kind=JobKind.TRAIN)
        session.add(job)
        session.flush()
        return job.id


def standing_of(scene: Scene) -> dict[int, tuple[int | None, str, datetime]]:
    """What is kept of each evaluation."""
    with scene.runtime.database.reading() as session:
        rows = session.scalars(select(Evaluation))
        return {row.id: (row.job_id, row.predictions_sha256, row.created_at) for row in rows}


def test_photos_that_are_gone_or_cannot_be_decoded_have_an_empty_caption(
    scene: Scene, tmp_path: Path
) -> None:
    blobs = scene.runtime.blobs
    assert isinstance(blobs, LocalBlobs)
    with scene.runtime.database.reading() as session:
        gone, damaged, *_ = session.scalars(select(Image.rendition).order_by(Image.id.desc()))
    blobs.delete(gone)
    blobs.path(damaged).write_bytes(b"no picture")
    here = Here(ends_with=1)
    with scene.runtime.database.writing() as session:
        session.execute(update(Item).values(flagged=True))
    scene.measure(tmp_path / "work", here)
    with scene.runtime.database.reading() as session:
        rows = session.scalars(select(Evaluation)).all()
    assert len(rows) == 6
    assert all(row.result["failed"] == 2 for row in rows)
    assert all(predicted(scene, row).count(0.0) >= 2 for row in rows)


def test_a_photo_that_two_items_show_counts_once() -> None:
    items = [
        FrozenItem(
            item_id=number,
            path=f"{number}.jpg",
            sha256="a" * 64,
            rendition="b" * 64,
            width=96,
            height=64,
            split=Split.GOLDEN,
            captions=(reference(number, blind=True), reference(0, blind=True)),
        )
        for number in (1, 2)
    ]
    (photo,) = measuring._photos(items, Split.GOLDEN)
    assert photo.captions == ("A red red at sea.", "A red a at sea.", "A red boat at sea.")


def test_the_impact_tells_what_would_change_of_what_nobody_has_reviewed(scene: Scene, tmp_path: Path) -> None:
    with scene.runtime.database.writing() as session:
        decided = session.scalars(select(Item).order_by(Item.id)).first()
        assert decided
        decided.flagged = True
    scene.measure(tmp_path / "work", Here())
    with scene.runtime.database.reading() as session:
        impact = session.scalars(select(Impact)).one()
    assert (impact.collection_id, impact.candidate_id, impact.against_id) == (
        scene.collection_id,
        scene.candidate_id,
        scene.active_id,
    )
    assert (impact.result["items"], impact.result["sample"]) == (11, 11)
    assert impact.result["estimate"] == impact.result["changed"] > 0
    first = impact.result["samples"][0]
    assert (first["before"], first["after"] != "Boats.") == ("Boats.", True)
    assert decided.id not in {one["item_id"] for one in impact.result["samples"]}


def test_a_measuring_job_of_the_active_checkpoint_only_scores_it_on_golden_sets(
    scene: Scene, tmp_path: Path
) -> None:
    scene.candidate_id = scene.active_id
    here = Here()
    scene.measure(tmp_path / "work", here, dataset=False)
    assert here.commands == ["evaluate"] * 2
    assert (scene.count(Evaluation), scene.count(Comparison), scene.count(Impact)) == (2, 0, 0)


def test_a_captioning_job_goes_on_with_its_checkpoint_while_another_one_is_promoted(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, read = scene.runtime.database, scene.runtime.blobs.read

    def caption() -> int:
        with database.writing() as session:
            harbour = session.get_one(Collection, scene.collection_id)
            active = checkpoints.active(session)
            job = jobs.create_caption_job(session, harbour, checkpoint=active, user=None, mode="replace")
        captioning.drain(scene.runtime)
        return job.id

    def promote_while_reading(key: str) -> bytes:
        with database.writing() as session:
            candidate = session.get_one(Checkpoint, scene.candidate_id)
            if candidate.state is CheckpointState.CANDIDATE:
                promotions.promote(session, candidate, user=None, reason="in mid-chunk")
        return read(key)

    monkeypatch.setattr(scene.runtime.blobs, "read", promote_while_reading)
    first, second = caption(), caption()
    with database.reading() as session:
        done = {job.id: (job.state, job.done) for job in session.scalars(select(Job)) if job.total}
        written = select(HistoryEntry.job_id, HistoryEntry.text_after)
        texts: dict[int, set[str]] = {}
        for job_id, text in session.execute(written.where(HistoryEntry.action == "captioned")):
            texts.setdefault(job_id, set()).add(text)
        now = set(session.scalars(select(Caption.checkpoint_id)))
        pinned = [session.get_one(Job, job_id).checkpoint_id for job_id in (first, second)]
    assert done == {first: (JobState.DONE, PHOTOS), second: (JobState.DONE, PHOTOS)}
    assert pinned == [scene.active_id, scene.candidate_id]
    assert now == {scene.candidate_id}
    assert texts[first].isdisjoint(texts[second])


def test_a_tampered_manifest_is_refused(scene: Scene, tmp_path: Path) -> None:
    blobs = scene.runtime.blobs
    with scene.runtime.database.reading() as session:
        key = session.get_one(Dataset, scene.dataset_id).manifest_sha256
    assert isinstance(blobs, LocalBlobs)
    blobs.path(key).write_bytes(blobs.read(key).replace(b"sea", b"bar"))
    with pytest.raises(MissingBlob, match="damaged"):
        scene.measure(tmp_path / "work", Here())
    assert scene.count(Evaluation) == 0


def test_the_lease_is_renewed_while_sets_and_samples_are_written(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "RENEW_EVERY", -1.0)
    looks: list[int] = []
    copied: list[str] = []
    copy_to = LocalBlobs.copy_to

    def copying(self: LocalBlobs, key: str, path: Path) -> None:
        copied.append(key)
        copy_to(self, key, path)

    def look() -> None:
        looks.append(len(copied))

    monkeypatch.setattr(LocalBlobs, "copy_to", copying)
    here = Here()
    measuring.measure(
        scene.runtime,
        job_id=scene.job_id,
        candidate_id=scene.candidate_id,
        dataset_id=scene.dataset_id,
        folder=tmp_path / "measuring",
        run=here.run,
        say=here.said.append,
        look=look,
    )
    # Once before each photo of the three sets and of the sample; the two files of each checkpoint come first.
    assert len(copied) >= 4 + 3 * (PHOTOS - 1)
    assert {*range(4, len(copied))} <= {*looks}
