"""What the gate answers, and that it says why."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog import collections, datasets, gate, lineage
from catalog.errors import Conflict
from catalog.schema import (
    Checkpoint,
    CheckpointState,
    Collection,
    Comparison,
    Dataset,
    DatasetKind,
    Image,
    Split,
    User,
)
from catalog.verdicts import Answer, Verdict, ordinal

Compare = Callable[..., Comparison]
Freeze = Callable[..., Dataset]
Train = Callable[..., Checkpoint]


@dataclass
class Scene:
    """A candidate that was trained on Harbour beside the active checkpoint, and two golden sets."""

    session: Session
    active: Checkpoint
    candidate: Checkpoint
    golden: Dataset
    general: Dataset

    def verdict(self) -> Verdict:
        return gate.verdict(self.session, self.candidate, self.active)


@pytest.fixture
def scene(
    session: Session, filled: Callable[..., tuple[int, list[int], int]], frozen: Freeze, trained: Train
) -> Scene:
    harbour, _, active_id = filled(session, 3)
    active = session.get_one(Checkpoint, active_id)
    active.name = "starter-4"
    learned = frozen(session, harbour, "Boats", kind=DatasetKind.CURATED)
    general = frozen(session, None, "Everything")
    golden = frozen(session, harbour, "Golden")
    return Scene(session, active, trained(session, "boats-1", learned, active), golden, general)


def test_a_gain_that_chance_does_not_make_is_better(scene: Scene, compared: Compare) -> None:
    compared(scene.session, scene.candidate, scene.active, scene.general, before=0.5, after=0.495)
    one = compared(scene.session, scene.candidate, scene.active, scene.golden)
    found = scene.verdict()
    assert (found.answer, found.needs, found.looks, found.p) == (Answer.BETTER, None, 1, 0.004)
    assert found.sentences == (
        "better: CIDEr 0.412 to 0.468 on 424 photos of Golden@1 (p 0.004, first look)",
        "CIDEr 0.500 to 0.495 on 424 photos of Everything@1, -1.0% (-7.0% to +5.0%)",
    )
    assert (found.n, found.dataset, one.id in found.comparisons) == (424, "Golden@1", True)
    assert found.to_json()["answer"] == "better"


def test_every_look_at_a_set_makes_it_harder(scene: Scene, compared: Compare, trained: Train) -> None:
    for number in range(2):
        compared(scene.session, trained(scene.session, f"other {number}"), scene.active, scene.golden)
    compared(scene.session, scene.candidate, scene.active, scene.general)
    compared(scene.session, scene.candidate, scene.active, scene.golden)
    assert scene.verdict().sentences[0] == (
        "better: CIDEr 0.412 to 0.468 on 424 photos of Golden@1 (p 0.004, third look: 0.012)"
    )
    compared(scene.session, scene.candidate, scene.active, scene.golden, p=0.02)
    again = scene.verdict()
    assert (again.answer, again.looks, again.p) == (Answer.CANNOT_TELL, 3, pytest.approx(0.06))


def test_a_new_version_of_a_set_and_one_that_shares_photos_are_no_first_look(
    scene: Scene, compared: Compare, frozen: Freeze, trained: Train
) -> None:
    session, harbour = scene.session, scene.golden.collection_id
    first, second, third = session.scalars(select(Image.id).order_by(Image.id))
    compared(session, trained(session, "other"), scene.active, scene.golden)
    newer = frozen(session, harbour, "Golden", version=2, images={first: Split.GOLDEN, second: Split.GOLDEN})
    assert compared(session, scene.candidate, scene.active, newer, p=0.02).look == 2
    shared = frozen(session, harbour, "Twins", images={second: Split.GOLDEN, third: Split.GOLDEN})
    assert compared(session, scene.candidate, scene.active, shared, p=0.03).look == 2
    apart = frozen(session, None, "Apart", images={third: Split.GOLDEN})
    assert compared(session, scene.candidate, scene.active, apart).look == 2
    again = compared(session, scene.candidate, scene.active, newer, p=0.02)
    assert again.look == 2
    compared(session, scene.candidate, scene.active, scene.general)
    assert scene.verdict().looks == 2


def test_what_chance_may_have_made_needs_more_photos(scene: Scene, compared: Compare) -> None:
    compared(scene.session, scene.candidate, scene.active, scene.general)
    compared(
        scene.session, scene.candidate, scene.active, scene.golden, before=0.4, after=0.45, p=0.2, sd=0.5
    )
    found = scene.verdict()
    # ((2.2414 + 0.8416) * 0.5 / 0.05) ** 2 photos at the second look, of which 424 are there.
    assert (found.answer, found.needs) == (Answer.CANNOT_TELL, 951 - 424)
    assert found.sentences[0].startswith("cannot tell, needs 527 more: CIDEr 0.400 to 0.450 on 424 photos")


def test_fewer_than_two_hundred_photos_never_tell(scene: Scene, compared: Compare) -> None:
    compared(scene.session, scene.candidate, scene.active, scene.general)
    compared(scene.session, scene.candidate, scene.active, scene.golden, p=0.0002, n=150, sd=0.1)
    found = scene.verdict()
    assert (found.answer, found.needs) == (Answer.CANNOT_TELL, 50)
    assert found.sentences[0].startswith("cannot tell, needs 50 more: ")


@pytest.mark.parametrize("after", [0.412, 0.39])
def test_a_loss_on_fewer_photos_does_not_tell_either(scene: Scene, compared: Compare, after: float) -> None:
    compared(scene.session, scene.candidate, scene.active, scene.general)
    compared(scene.session, scene.candidate, scene.active, scene.golden, after=after, n=5)
    found = scene.verdict()
    assert (found.answer, found.needs) == (Answer.CANNOT_TELL, 195)


def test_few_photos_of_another_golden_set_forbid_nothing_for_good(scene: Scene, compared: Compare) -> None:
    compared(scene.session, scene.candidate, scene.active, scene.golden)
    compared(scene.session, scene.candidate, scene.active, scene.general, before=0.5, after=0.48, n=3)
    found = scene.verdict()
    assert (found.answer, found.needs) == (Answer.CANNOT_TELL, 197)
    assert found.sentences[0].endswith("which so few photos do not tell")


def test_a_renamed_copy_has_learned_what_the_first_one_did(
    scene: Scene, frozen: Freeze, trained: Train, compared: Compare
) -> None:
    session, harbour = scene.session, scene.golden.collection_id
    first = session.scalars(select(Image.id).order_by(Image.id)).first()
    assert first
    boats = frozen(
        session, harbour, "Boats", version=2, kind=DatasetKind.CURATED, images={first: Split.TRAIN}
    )
    scene.golden = frozen(session, harbour, "Golden", version=2, images={first: Split.GOLDEN})
    original, copy = trained(session, "boats-2", boats, scene.active), trained(session, "better-2")
    copy.weights_sha256 = original.weights_sha256
    for dataset in (scene.golden, scene.general):
        compared(session, copy, scene.active, dataset)
    found = gate.verdict(session, copy, scene.active)
    assert found.sentences[0].startswith("cannot tell: better-2 was trained on 1 photo of Golden@2")


@pytest.mark.parametrize("after", [0.412, 0.39])
def test_no_gain_is_not_better(scene: Scene, compared: Compare, after: float) -> None:
    compared(scene.session, scene.candidate, scene.active, scene.general)
    compared(scene.session, scene.candidate, scene.active, scene.golden, after=after)
    found = scene.verdict()
    assert (found.answer, found.needs) == (Answer.NOT_BETTER, None)
    assert found.sentences[0].startswith(f"not better: CIDEr 0.412 to {after:.3f} on 424 photos of Golden@1")


@pytest.mark.parametrize(
    ("after", "answer"), [(0.491, Answer.BETTER), (0.489, Answer.NOT_BETTER), (0.6, Answer.BETTER)]
)
def test_no_other_golden_set_may_lose_more_than_two_percent(
    scene: Scene, compared: Compare, after: float, answer: Answer
) -> None:
    compared(scene.session, scene.candidate, scene.active, scene.golden)
    compared(scene.session, scene.candidate, scene.active, scene.general, before=0.5, after=after)
    found = scene.verdict()
    assert found.answer is answer
    if answer is Answer.NOT_BETTER:
        assert found.sentences[0] == (
            "not better: CIDEr 0.500 to 0.489 on 424 photos of Everything@1, -2.2% (-8.2% to +3.8%), where "
            "no more than 2% may be lost"
        )


def test_without_a_golden_set_of_its_collection_nobody_can_tell(
    scene: Scene, frozen: Freeze, trained: Train, compared: Compare
) -> None:
    elsewhere = trained(scene.session, "mills-1", frozen(scene.session, None, "Mills", version=3))
    scene.general.collection_id = scene.golden.collection_id
    scene.session.flush()
    compared(scene.session, elsewhere, scene.active, scene.golden)
    compared(scene.session, elsewhere, scene.active, scene.general)
    mills = scene.session.scalars(select(Dataset).where(Dataset.name == "Mills")).one()
    mills.kind = DatasetKind.CURATED
    scene.session.flush()
    found = gate.verdict(scene.session, elsewhere, scene.active)
    assert (found.answer, found.needs, found.dataset) == (Answer.CANNOT_TELL, 200, None)
    assert found.sentences[0].startswith("cannot tell, needs 200 more: no golden set of the photos")


def test_sets_of_deleted_collections_are_not_taken_for_those_of_one_collection(
    scene: Scene, frozen: Freeze, trained: Train, compared: Compare
) -> None:
    learned = frozen(scene.session, None, "Of a deleted collection", kind=DatasetKind.CURATED)
    candidate = trained(scene.session, "boats-2", learned, scene.active)
    for dataset in (scene.golden, scene.general):
        compared(scene.session, candidate, scene.active, dataset, p=0.0002)
    found = gate.verdict(scene.session, candidate, scene.active)
    assert (found.answer, found.dataset) == (Answer.CANNOT_TELL, None)
    assert "no golden set of the photos that it learned from" in found.sentences[0]


def test_a_checkpoint_from_elsewhere_is_set_beside_the_newest_golden_set_and_may_know_its_photos(
    scene: Scene, trained: Train, compared: Compare
) -> None:
    uploaded = trained(scene.session, "uploaded")
    compared(scene.session, uploaded, scene.active, scene.golden)
    assert gate.verdict(scene.session, uploaded, scene.active).sentences == (
        "cannot tell: nobody here knows which photos uploaded was trained on; golden ones may be among them",
        "CIDEr 0.412 to 0.468 on 424 photos of Golden@1 (p 0.004, first look)",
        "not compared with starter-4 on Everything@1; measure it there",
    )


def test_what_gains_is_not_called_better_where_nobody_knows_its_photos(
    scene: Scene, frozen: Freeze, trained: Train, compared: Compare
) -> None:
    session, uploaded = scene.session, trained(scene.session, "uploaded")
    learned = frozen(session, scene.golden.collection_id, "Boats", version=2, kind=DatasetKind.CURATED)
    grandchild = trained(session, "boats-3", learned, trained(session, "boats-2", learned, uploaded))
    for candidate, why in (
        (uploaded, "nobody here knows which photos uploaded was trained on"),
        (grandchild, "boats-3 comes from uploaded, of which nobody here knows the training photos"),
    ):
        for dataset in (scene.golden, scene.general):
            compared(session, candidate, scene.active, dataset, p=0.0001)
        found = gate.verdict(session, candidate, scene.active)
        assert (found.answer, found.needs) == (Answer.CANNOT_TELL, None)
        assert found.sentences[0] == f"cannot tell: {why}; golden ones may be among them"
    compared(session, grandchild, scene.active, scene.general, before=0.5, after=0.3)
    assert gate.verdict(session, grandchild, scene.active).answer is Answer.NOT_BETTER


def test_what_is_shipped_and_copies_of_what_was_trained_here_are_known(
    scene: Scene, frozen: Freeze, trained: Train, compared: Compare
) -> None:
    session = scene.session
    shipped, copy = trained(session, "starter-5"), trained(session, "copy")
    copy.weights_sha256 = scene.candidate.weights_sha256
    learned = frozen(session, scene.golden.collection_id, "Boats", version=2, kind=DatasetKind.CURATED)
    for candidate in (copy, trained(session, "boats-2", learned, copy)):
        for dataset in (scene.golden, scene.general):
            compared(session, candidate, scene.active, dataset, p=0.0001)
        assert gate.verdict(session, candidate, scene.active).answer is Answer.BETTER
    assert lineage.from_elsewhere(session, shipped) == []


def test_photos_that_it_or_its_base_was_trained_on_are_a_leak(
    scene: Scene, frozen: Freeze, trained: Train, compared: Compare
) -> None:
    first, second, third = scene.session.scalars(select(Image.id).order_by(Image.id))
    before = frozen(
        scene.session,
        scene.golden.collection_id,
        "Boats",
        version=2,
        kind=DatasetKind.CURATED,
        images={first: Split.TRAIN, second: Split.VALIDATION, third: Split.TEST},
    )
    scene.golden = frozen(
        scene.session,
        scene.golden.collection_id,
        "Golden",
        version=2,
        images={first: Split.GOLDEN, second: Split.GOLDEN, third: Split.GOLDEN},
    )
    base = trained(scene.session, "boats-2", before, scene.active)
    learned = frozen(scene.session, scene.golden.collection_id, "Boats", version=3, kind=DatasetKind.CURATED)
    for candidate in (base, trained(scene.session, "boats-3", learned, base)):
        for dataset in (scene.golden, scene.general):
            compared(scene.session, candidate, scene.active, dataset)
        found = gate.verdict(scene.session, candidate, scene.active)
        assert found.answer is Answer.CANNOT_TELL
        assert found.sentences[0] == (
            f"cannot tell: {candidate.name} was trained on 2 photos of Golden@2; freeze a set of other photos"
        )


def test_a_comparison_with_what_was_active_before_does_not_count(
    scene: Scene, trained: Train, compared: Compare
) -> None:
    for dataset in (scene.golden, scene.general):
        compared(scene.session, scene.candidate, scene.active, dataset)
    newer = trained(scene.session, "boats-2")
    scene.active.state, newer.state = CheckpointState.RETIRED, CheckpointState.ACTIVE
    scene.session.flush()
    why = "cannot tell: compared with starter-4, and boats-2 is active now; measure again"
    assert gate.verdict(scene.session, scene.candidate, newer).sentences[0] == why
    assert scene.verdict().sentences == (why,)
    assert gate.verdict(scene.session, newer, newer).answer is Answer.CANNOT_TELL


def test_a_newer_version_of_the_golden_set_asks_for_another_comparison(
    scene: Scene, frozen: Freeze, compared: Compare
) -> None:
    for dataset in (scene.golden, scene.general):
        compared(scene.session, scene.candidate, scene.active, dataset)
    frozen(scene.session, scene.golden.collection_id, "Golden", version=2)
    found = scene.verdict()
    assert found.answer is Answer.CANNOT_TELL
    assert "not compared with starter-4 on Golden@2" in found.sentences[0]


def test_the_scores_of_a_curated_split_are_never_judged_by(
    scene: Scene, compared: Compare, session: Session
) -> None:
    for dataset in (scene.golden, scene.general):
        found = compared(scene.session, scene.candidate, scene.active, dataset)
        found.split = Split.TEST
    session.flush()
    assert "not compared" in scene.verdict().sentences[0]


def test_sets_of_hidden_collections_count_without_their_names(
    scene: Scene, compared: Compare, new_user: Callable[..., User]
) -> None:
    compared(scene.session, scene.candidate, scene.active, scene.golden)
    compared(scene.session, scene.candidate, scene.active, scene.general, before=0.5, after=0.4)
    grace = new_user(scene.session, "grace")
    harbour = scene.session.get_one(Collection, scene.golden.collection_id)
    collections.add_member(scene.session, harbour, grace)
    found = gate.verdict(scene.session, scene.candidate, scene.active, viewer=grace)
    assert found.answer is Answer.NOT_BETTER
    assert found.sentences[0].startswith(
        "not better: CIDEr 0.500 to 0.400 on 424 photos of a golden set of another collection, -20.0%"
    )
    assert found.dataset == "Golden@1"
    assert "Everything" not in found.text


@pytest.fixture
def portuguese(
    session: Session, filled: Callable[..., tuple[int, list[int], int]], frozen: Freeze, trained: Train
) -> Scene:
    """A candidate that writes Portuguese, as the active one does, and golden sets in it and in English."""
    harbour, _, starter_id = filled(session, 3)
    starter = session.get_one(Checkpoint, starter_id)
    starter.name = "starter-4"
    learned = frozen(session, harbour, "Barcos", kind=DatasetKind.CURATED, languages={"pt": 90, "en": 10})
    active, candidate = (
        trained(session, name, learned, starter, language="pt") for name in ("barcos-1", "barcos-2")
    )
    starter.state, active.state = CheckpointState.RETIRED, CheckpointState.ACTIVE
    golden = frozen(session, harbour, "Dourado", languages={"pt-BR": 424})
    general = frozen(session, harbour, "Golden", languages={"en": 424})
    return Scene(session, active, candidate, golden, general)


def test_sets_of_another_language_than_the_candidates_neither_decide_nor_veto(
    portuguese: Scene, compared: Compare
) -> None:
    compared(portuguese.session, portuguese.candidate, portuguese.active, portuguese.general, after=0.1)
    one = compared(portuguese.session, portuguese.candidate, portuguese.active, portuguese.golden)
    found = portuguese.verdict()
    assert (found.answer, found.dataset, found.comparisons) == (Answer.BETTER, "Dourado@1", (one.id,))
    assert found.sentences == (
        "better: CIDEr 0.412 to 0.468 on 424 photos of Dourado@1 (p 0.004, first look)",
        "no other golden set tells whether anything was forgotten",
        "left out, for barcos-2 writes pt: Golden@1 in en",
    )


def test_a_set_of_two_languages_is_left_out_as_well(portuguese: Scene, compared: Compare) -> None:
    portuguese.general.card = {"languages": {"pt": 400, "en-GB": 24}}
    portuguese.session.flush()
    compared(portuguese.session, portuguese.candidate, portuguese.active, portuguese.golden)
    assert portuguese.verdict().sentences[-1].endswith("writes pt: Golden@1 in en and pt")


def test_without_a_golden_set_in_its_language_nobody_can_tell(portuguese: Scene, compared: Compare) -> None:
    portuguese.golden.card = {"languages": {"en": 424}}
    portuguese.session.flush()
    for dataset in (portuguese.golden, portuguese.general):
        compared(portuguese.session, portuguese.candidate, portuguese.active, dataset)
    found = portuguese.verdict()
    assert (found.answer, found.needs, found.dataset, found.comparisons) == (
        Answer.CANNOT_TELL,
        200,
        None,
        (),
    )
    assert found.sentences == (
        "cannot tell, needs 200 more: no golden set of the photos that it learned from has references in pt; "
        "draw one in that language, caption it and freeze it",
        "left out, for barcos-2 writes pt: Golden@1 in en, Dourado@1 in en",
    )


def test_no_golden_set_tells_whether_another_language_is_wanted(
    portuguese: Scene, compared: Compare, trained: Train
) -> None:
    session = portuguese.session
    session.get_one(Checkpoint, portuguese.active.id).state = CheckpointState.RETIRED
    english = trained(session, "starter-5")
    english.state = CheckpointState.ACTIVE
    session.flush()
    compared(session, portuguese.candidate, english, portuguese.golden, before=0.01)
    found = gate.verdict(session, portuguese.candidate, english)
    assert (found.answer, found.dataset) == (Answer.CANNOT_TELL, "Dourado@1")
    assert found.sentences[0] == (
        "cannot tell: barcos-2 writes pt and starter-5 en, and no golden set tells which of them is wanted"
    )


def test_a_candidate_of_unknown_language_has_to_do_what_the_active_one_does(
    portuguese: Scene, trained: Train
) -> None:
    uploaded = trained(portuguese.session, "uploaded")
    found = gate.verdict(portuguese.session, uploaded, portuguese.active)
    assert found.dataset == "Dourado@1"
    assert found.sentences[-1] == (
        "left out, for barcos-1 writes pt, and what uploaded writes is not known: Golden@1 in en"
    )


def test_left_out_sets_of_hidden_collections_keep_their_names(
    portuguese: Scene, new_user: Callable[..., User]
) -> None:
    found = gate.verdict(
        portuguese.session,
        portuguese.candidate,
        portuguese.active,
        viewer=new_user(portuguese.session, "grace"),
    )
    assert found.sentences[-1].endswith("a golden set of another collection in en")
    assert "Golden@" not in found.text


def test_places_are_counted_as_people_do() -> None:
    assert [ordinal(number) for number in (1, 3, 11, 12, 21, 22, 23, 111)] == [
        "first",
        "third",
        "11th",
        "12th",
        "21st",
        "22nd",
        "23rd",
        "111th",
    ]


def test_a_golden_set_that_somebody_looked_at_is_kept(scene: Scene, compared: Compare) -> None:
    assert datasets.remove(scene.session, scene.general, user=None)
    compared(scene.session, scene.candidate, scene.active, scene.golden)
    with pytest.raises(Conflict, match="Golden@1 cannot be deleted: checkpoints were compared on it"):
        datasets.remove(scene.session, scene.golden, user=None)
