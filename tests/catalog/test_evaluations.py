"""What checkpoints scored, kept once a set, and compared on the sets that they share."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog import collections, evaluations, impacts, manifests, regressions
from catalog.blobs import BlobStore
from catalog.database import Database
from catalog.evaluations import SetToMeasure
from catalog.impacts import Standing
from catalog.manifests import FrozenCaption, FrozenItem, Header
from catalog.regressions import Predicted
from catalog.schema import (
    Caption,
    Checkpoint,
    Collection,
    Comparison,
    Dataset,
    DatasetKind,
    Evaluation,
    Image,
    Impact,
    Item,
    Origin,
    ReviewState,
    Role,
    Split,
    User,
)
from catalog.word_edits import same_words, word_edits

Compare = Callable[..., Comparison]
Filled = Callable[..., tuple[int, list[int], int]]
Freeze = Callable[..., Dataset]
NewUser = Callable[..., User]
Train = Callable[..., Checkpoint]


def scored(
    session: Session, checkpoint: Checkpoint, dataset: Dataset, cider: float, predictions: str = "5" * 64
) -> str | None:
    return evaluations.record(
        session,
        checkpoint_id=checkpoint.id,
        measured_on=SetToMeasure(dataset, Split.GOLDEN),
        job_id=None,
        result={"scores": {"cider": cider}},
        predictions_sha256=predictions,
    )


def test_the_held_out_split_and_the_newest_version_of_each_golden_set_are_measured(
    session: Session, filled: Filled, frozen: Freeze
) -> None:
    harbour, _, _ = filled(session, 2)
    image = session.scalars(select(Image.id).order_by(Image.id)).first()
    assert image
    frozen(session, harbour, "Golden")
    newest = frozen(session, harbour, "Golden", version=2)
    other = frozen(session, None, "Everything")
    held_out = frozen(session, harbour, "Boats", kind=DatasetKind.CURATED, images={image: Split.TEST})
    without = frozen(
        session, harbour, "Boats", version=2, kind=DatasetKind.CURATED, images={image: Split.TRAIN}
    )
    golden = [(other.id, Split.GOLDEN), (newest.id, Split.GOLDEN)]

    def measured(dataset: Dataset | None) -> list[tuple[int, Split]]:
        return [(one.dataset.id, one.split) for one in evaluations.sets_to_measure(session, dataset)]

    assert measured(held_out) == [(held_out.id, Split.TEST), *golden]
    assert measured(without) == measured(None) == golden


def test_measuring_again_replaces_and_names_the_predictions_that_nothing_needs(
    session: Session, frozen: Freeze, trained: Train
) -> None:
    golden, checkpoint = frozen(session, None, "Golden"), trained(session, "one")
    assert scored(session, checkpoint, golden, 0.4) is None
    assert scored(session, checkpoint, golden, 0.4) is None
    assert scored(session, checkpoint, golden, 0.5, predictions="6" * 64) == "5" * 64
    row = session.scalars(select(Evaluation)).one()
    assert (row.result["scores"]["cider"], row.predictions_sha256) == (0.5, "6" * 64)


def test_each_pair_that_looks_at_a_set_has_a_number_of_its_own(
    database: Database, frozen: Freeze, trained: Train, compared: Compare
) -> None:
    with database.writing() as session:
        golden = frozen(session, None, "Golden").id
        elsewhere = frozen(session, None, "Everything").id
        active, *candidates = (trained(session, name).id for name in ("active", *"abcdef"))

    def look(candidate: int, dataset_id: int = golden) -> int:
        with database.writing() as session:
            found = [session.get_one(Checkpoint, one) for one in (candidate, active)]
            return compared(session, *found, session.get_one(Dataset, dataset_id)).look

    threads = [threading.Thread(target=look, args=(one,)) for one in candidates for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading() as session:
        looks = session.scalars(select(Comparison.look).order_by(Comparison.look)).all()
    assert looks == [1, 2, 3, 4, 5, 6]
    assert look(candidates[0], elsewhere) == 1


def test_checkpoints_stand_side_by_side_on_the_sets_that_all_were_scored_on(
    session: Session, filled: Filled, frozen: Freeze, trained: Train, compared: Compare, new_user: NewUser
) -> None:
    harbour, _, _ = filled(session, 1)
    shared, alone = frozen(session, harbour, "Golden"), frozen(session, harbour, "Mills")
    elsewhere = frozen(session, None, "Everything")
    one, two = trained(session, "one"), trained(session, "two")
    for checkpoint, dataset, cider in (
        (one, shared, 0.4),
        (two, shared, 0.5),
        (one, alone, 0.6),
        (one, elsewhere, 0.7),
        (two, elsewhere, 0.8),
    ):
        scored(session, checkpoint, dataset, cider)
    compared(session, two, one, shared)
    compared(session, two, one, elsewhere)

    def seen(viewer: User | None) -> list[tuple[str, list[float]]]:
        found = evaluations.side_by_side(session, [two, one], viewer=viewer)
        return [
            (row.dataset.name, [each.result["scores"]["cider"] for each in row.evaluations]) for row in found
        ]

    assert seen(None) == [("Everything", [0.8, 0.7]), ("Golden", [0.5, 0.4])]
    ada, grace = new_user(session, "ada", Role.ADMIN), new_user(session, "grace")
    collections.add_member(session, session.get_one(Collection, harbour), grace)
    assert seen(ada) == seen(None)
    assert seen(grace) == [("Golden", [0.5, 0.4])]
    assert seen(new_user(session, "edsger")) == []
    assert [one.dataset.name for one in evaluations.comparisons(session, two, one, viewer=grace)] == [
        "Golden"
    ]
    names = [found.dataset.name for found in evaluations.of_checkpoint(session, one, viewer=grace)]
    assert names == ["Mills", "Golden"]


@pytest.fixture
def golden(session: Session, blobs: BlobStore, frozen: Freeze, tmp_path: Path) -> Dataset:
    """A golden set of four photos with a manifest."""
    items = [
        FrozenItem(
            item_id=number,
            path=f"{number}.jpg",
            sha256=f"{number}" * 64,
            rendition="r" * 64,
            width=9,
            height=9,
            split=Split.GOLDEN,
            captions=(
                FrozenCaption(text=f"Boat {number}.", language="en", kind="caption", origin="written"),
            ),
        )
        for number in range(1, 5)
    ]
    header = Header(kind="golden", collection="Harbour", filter={}, guidelines="")
    manifests.write(tmp_path / "manifest", header, items)
    dataset = frozen(session, None, "Golden")
    dataset.manifest_sha256 = blobs.put(tmp_path / "manifest")
    return dataset


def test_the_worst_regressions_come_with_both_texts_and_the_references(
    session: Session, blobs: BlobStore, golden: Dataset, trained: Train, compared: Compare
) -> None:
    before, after = trained(session, "before"), trained(session, "after")
    ciders = {before: (0.9, 0.5, 0.4, 0.2), after: (0.6, 0.7, 0.4, 0.1)}
    for checkpoint, found in ciders.items():
        predicted = [
            Predicted(sha256=f"{number}" * 64, caption=f"{checkpoint.name} {number}\u2028", cider=cider)
            for number, cider in enumerate(found, start=1)
        ]
        key = blobs.put(regressions.to_lines(predicted))
        scored(session, checkpoint, golden, sum(found) / 4, predictions=key)
    comparison = compared(session, after, before, golden)
    first, second = regressions.worst(session, blobs, comparison)
    assert (first.item_id, first.before, first.after) == (1, "before 1\u2028", "after 1\u2028")
    assert (first.references, first.path) == (("Boat 1.",), "1.jpg")
    assert [first.drop, second.drop] == pytest.approx([0.3, 0.1])
    assert [one.item_id for one in regressions.worst(session, blobs, comparison, limit=1)] == [1]


@pytest.mark.parametrize(
    ("before", "after", "edits"),
    [
        ("A boat.", "a Boat", 0),
        ("A red boat at sea.", "A boat at the sea", 2),
        ("A red boat", "Two blue ships", 3),
        ("", "A boat", 2),
        ("\U0001f600", "", 0),
        ("\u05e1\u05d9\u05e8\u05d4 \u05d0\u05d3\u05d5\u05de\u05d4", "\u05e1\u05d9\u05e8\u05d4", 1),
    ],
)
def test_word_edits_are_words_put_in_taken_out_or_replaced(before: str, after: str, edits: int) -> None:
    assert word_edits(before, after) == word_edits(after, before) == edits
    assert same_words(before, after) is (edits == 0)


@pytest.fixture
def reviewed(session: Session, filled: Filled) -> tuple[int, list[int]]:
    """Six photos that a model captioned; people accepted one caption and edited one, and one is flagged."""
    harbour, item_ids, active = filled(session, 6)
    for number, item_id in enumerate(item_ids):
        text = f"A boat {number}."
        session.add(Caption(item_id=item_id, text=text, origin=Origin.MODEL, checkpoint_id=active))
        session.get_one(Item, item_id).review_state = ReviewState.PENDING
    session.flush()
    accepted, edited, flagged = item_ids[:3]
    session.get_one(Item, accepted).review_state = ReviewState.ACCEPTED
    session.scalars(select(Caption).where(Caption.item_id == edited)).one().version = 2
    session.get_one(Item, flagged).flagged = True
    session.flush()
    return harbour, item_ids[3:]


def test_only_what_nobody_has_reviewed_would_change(
    session: Session, reviewed: tuple[int, list[int]], frozen: Freeze
) -> None:
    harbour, unreviewed = reviewed
    active = session.scalars(select(Checkpoint)).one()
    assert impacts.unreviewed(session, harbour) == 3
    found = impacts.sample(session, harbour)
    assert sorted((one.item_id, one.text) for one in found) == [
        (item_id, f"A boat {number}.") for number, item_id in enumerate(unreviewed, start=3)
    ]
    assert [one.item_id for one in impacts.sample(session, harbour, limit=2)] == [
        one.item_id for one in found[:2]
    ]
    assert impacts.affected(session, None, active) == [harbour]
    assert impacts.affected(session, frozen(session, None, "Boats"), active) == []
    assert impacts.affected(session, frozen(session, harbour, "Mills"), active) == [harbour]


def test_a_sample_tells_how_many_of_all_captions_would_change() -> None:
    standing = [Standing(number, "r", f"A boat {number}.") for number in range(100)]
    after = {number: f"a boat {number}" if number < 80 else "A ship." for number in range(100)}
    told = impacts.summary(standing, after, total=1000)
    assert (told["changed"], told["share"], told["estimate"]) == (20, 0.2, 200)
    assert (told["low"], told["high"]) == pytest.approx((0.1334, 0.2888), abs=1e-4)
    assert (told["estimate_low"], told["estimate_high"]) == (133, 289)
    assert told["word_edits"] == pytest.approx(0.4)
    assert len(told["samples"]) == 12
    assert told["samples"][0] == {"item_id": 80, "before": "A boat 80.", "after": "A ship."}
    whole = impacts.summary(standing, after, total=100)
    assert (whole["low"], whole["high"]) == (0.2, 0.2)
    assert impacts.summary([], {}, total=0)["share"] == 0


def test_an_impact_takes_the_place_of_the_one_before_and_is_seen_with_its_collection(
    session: Session, filled: Filled, trained: Train, new_user: NewUser
) -> None:
    harbour, _, active_id = filled(session, 1)
    active, candidate = session.get_one(Checkpoint, active_id), trained(session, "one")
    for share in (0.2, 0.3):
        impacts.record(
            session,
            collection_id=harbour,
            candidate_id=candidate.id,
            against_id=active.id,
            job_id=None,
            result={"share": share},
        )
    row = session.scalars(select(Impact)).one()
    assert row.result == {"share": 0.3}
    (seen,) = impacts.of_pair(session, candidate, active, viewer=None)
    assert seen.collection.name == "Harbour"
    assert impacts.of_pair(session, candidate, active, viewer=new_user(session, "grace")) == []
