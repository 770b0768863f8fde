"""What corrections gave: the panel of the front page and the page behind it."""

from collections.abc import Callable
from xml.etree import ElementTree

import pytest

from catalog.database import Database
from catalog.loop_progress import Reviews, loop_progress
from catalog.schema import (
    Caption,
    Checkpoint,
    CheckpointState,
    Dataset,
    DatasetKind,
    Evaluation,
    Promotion,
    Split,
    User,
)
from dashboard.curves import Point, plot, thinned, ticks
from tests.dashboard.visitor import Visitor


@pytest.fixture
def captions(
    database: Database, new_items: Callable[[int], list[int]], captioned: Callable[[], int]
) -> list[int]:
    """The ids of six captions of the active checkpoint, which nobody has decided."""
    new_items(6)
    captioned()
    with database.reading() as session:
        return [caption.id for caption in session.query(Caption).order_by(Caption.id)]


@pytest.fixture
def reviewed(admin: Visitor, captions: list[int]) -> list[int]:
    """The captions, after two were accepted as they were, one edited, one rejected, one done in bulk."""
    for number in captions[:2]:
        decide(admin, number, state="accepted")
    decide(admin, captions[2], state="accepted", text="A brown dog runs across the snowy field")
    decide(admin, captions[3], state="rejected")
    return captions


@pytest.fixture
def promoted(database: Database, checkpoint: int, collection: int) -> int:
    """The id of a checkpoint that became the active one; both are scored on a golden set."""
    with database.writing() as session:
        better = Checkpoint(
            name="starter-1-r2",
            state=CheckpointState.ACTIVE,
            weights_sha256="2" * 64,
            description_sha256="3" * 64,
            description={"name": "starter-1-r2", "vocabulary": ["dog"]},
        )
        golden = Dataset(
            name="Harbour golden",
            version=1,
            kind=DatasetKind.GOLDEN,
            collection_id=collection,
            manifest_sha256="4" * 64,
            images=220,
            captions=220,
        )
        session.add_all([better, golden])
        session.flush()
        session.get_one(Checkpoint, checkpoint).state = CheckpointState.RETIRED
        session.add(Promotion(checkpoint_id=better.id, previous_id=checkpoint))
        session.add_all(
            evaluation(number, golden, score) for number, score in ((checkpoint, 0.41), (better.id, 0.5))
        )
        return better.id


def evaluation(checkpoint_id: int, dataset: Dataset, score: float) -> Evaluation:
    result = {"n": 220, "scores": {"cider": score}, "intervals": {"cider": [score - 0.04, score + 0.04]}}
    return Evaluation(
        checkpoint_id=checkpoint_id,
        dataset_id=dataset.id,
        split=Split.GOLDEN,
        result=result,
        predictions_sha256="5" * 64,
    )


def decide(visitor: Visitor, caption: int, **change: str) -> None:
    answer = visitor.call("PATCH", f"/captions/{caption}", json={"version": 1, **change})
    assert answer.status_code == 200, answer.text


def reviews_of(database: Database, checkpoint: int, viewer: User | None = None) -> Reviews:
    with database.reading() as session:
        steps = loop_progress(session, viewer).steps
    return next(step.reviews for step in steps if step.checkpoint.id == checkpoint)


def test_reviews_count_what_people_decided_one_by_one(
    database: Database, reviewed: list[int], checkpoint: int
) -> None:
    found = reviews_of(database, checkpoint)
    assert (found.decided, found.accepted, found.unchanged) == (4, 3, 2)
    # “a” became “the snowy”: one word replaced and one put in. Case and the final stop are no edits.
    assert found.edits == 2
    assert found.share_unchanged == 0.5
    assert found.edits_each == pytest.approx(2 / 3)


def test_what_was_decided_in_bulk_or_with_the_picture_says_nothing_of_a_caption(
    database: Database, admin: Visitor, reviewed: list[int], checkpoint: int
) -> None:
    before = reviews_of(database, checkpoint)
    with database.reading() as session:
        items = [session.get_one(Caption, number).item_id for number in reviewed[4:]]
    assert admin.call("POST", f"/items/{items[0]}/reject").status_code == 200
    assert reviews_of(database, checkpoint) == before


def test_reviews_of_hidden_collections_are_not_told(
    database: Database, reviewed: list[int], checkpoint: int, new_user: Callable[..., User]
) -> None:
    assert reviews_of(database, checkpoint, new_user("grace")) == Reviews()


def test_the_front_page_asks_for_the_curve_once_a_caption_is_accepted(
    admin: Visitor, captions: list[int]
) -> None:
    assert "data-loop" not in admin.get("/").text
    decide(admin, captions[0], state="accepted")
    assert 'data-loop="/loop"' in admin.get("/").text


def test_before_any_promotion_a_sentence_tells_what_will_come(admin: Visitor, reviewed: list[int]) -> None:
    page = admin.get("/loop").text
    assert "Here a curve will tell what corrections gave" in page
    assert "50% of 4 decided captions accepted as they were" in page
    assert "<svg" not in page.partition("data-loop-panel")[2]


def test_after_a_promotion_curves_and_numbers_are_told(
    admin: Visitor, reviewed: list[int], promoted: int
) -> None:
    page = admin.get("/loop").text
    assert "went from 0.410 to <strong>0.500</strong>" in page
    assert "0.500 (0.460 to 0.540)" in page
    assert "Harbour golden@1: 220 photos" in page
    assert "Nobody has reviewed captions of starter-1-r2 yet" in page
    drawn = curves(page)
    assert [title.partition(",")[0] for title in drawn] == [
        "CIDEr on the golden set",
        "Words changed a caption",
        "Accepted unchanged",
    ]
    assert 'style="' not in page


def test_scores_on_a_golden_set_that_one_may_not_see_are_not_told(reviewer: Visitor, promoted: int) -> None:
    page = reviewer.get("/loop").text
    assert "not measured" in page
    assert "Harbour golden" not in page


def curves(page: str) -> list[str]:
    """The titles of a page's curves, each of which is sound XML that tells what it shows."""
    titles = []
    for part in page.split("<figure")[1:]:
        drawing = ElementTree.fromstring("<svg" + part.partition("<svg")[2].partition("</svg>")[0] + "</svg>")
        assert drawing.get("role") == "img"
        ids = {child.get("id"): child.text or "" for child in drawing if child.tag in ("title", "desc")}
        assert set((drawing.get("aria-labelledby") or "").split()) == set(ids)
        assert all(ids.values())
        titles.append(next(text for name, text in ids.items() if name and name.endswith("-title")))
    return titles


def test_a_plot_keeps_its_points_inside_and_its_ticks_round() -> None:
    drawn = plot("k", "T", [Point(1, 2.0), Point(2, 1.5, 1.0, 2.5), Point(3, 1.25)], x_name="epoch")
    assert drawn
    for dot in drawn.dots:
        assert drawn.left <= dot.x <= drawn.right
        assert all(drawn.top <= y <= drawn.bottom for y in (dot.y, dot.low, dot.high) if y is not None)
    assert [tick.text for tick in drawn.x_ticks] == ["1", "2", "3"]
    assert drawn.last == "1.250 at epoch 3"
    assert ticks(0.0, 1.0) == pytest.approx([0.0, 0.5, 1.0])


def test_plots_of_one_point_of_equal_points_and_of_none_are_drawn_or_left_out() -> None:
    assert plot("k", "T", [], x_name="x") is None
    assert plot("k", "T", [Point(1, float("nan"))], x_name="x") is None
    for points in ([Point(1, 0.0)], [Point(1, 0.5), Point(2, 0.5)]):
        drawn = plot("k", "T", points, x_name="x")
        assert drawn
        assert len(drawn.dots) == len(points)


def test_a_long_line_is_thinned_to_means_that_end_where_it_ends() -> None:
    thin = thinned([Point(float(number), float(number % 2)) for number in range(1, 10_001)])
    assert len(thin) == 200
    assert thin[-1].x == 10_000
    assert {point.y for point in thin} == {0.5}
