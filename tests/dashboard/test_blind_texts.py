"""Texts of photos that somebody still has to caption blind: nothing that they can open shows them."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from sqlalchemy import select, update

from catalog import datasets, evaluations, golden_sets, impacts, manifests, regressions
from catalog.blobs import open_blobs
from catalog.database import Database
from catalog.evaluations import SetToMeasure
from catalog.regressions import Predicted
from catalog.schema import (
    Caption,
    CaptionState,
    Checkpoint,
    Collection,
    Dataset,
    Image,
    Membership,
    Split,
    User,
)
from catalog.settings import Settings
from tests.dashboard.visitor import Visitor

SIZE = 3
WORDS = "brown dog"  # of the model's text


@dataclass
class Scene:
    """Photos that the model captioned, all alike, frozen twice with one text changed between."""

    database: Database
    collection: int
    items: list[int]
    captions: list[int]
    older: int
    newer: int

    def draw(self) -> None:
        """Draw all of the photos as a golden set."""
        with self.database.writing() as session:
            collection = session.get_one(Collection, self.collection)
            golden_sets.draw(session, collection, name="judge", size=SIZE, user=None)


@pytest.fixture
def scene(
    reviewer: Visitor,
    database: Database,
    settings: Settings,
    collection: int,
    new_items: Callable[[int], list[int]],
    captioned: Callable[[], int],
) -> Scene:
    items = new_items(SIZE)
    captioned()
    with database.writing() as session:
        bob = session.scalars(select(User.id).where(User.name == "bob")).one()
        session.add(Membership(collection_id=collection, user_id=bob))
        session.execute(update(Caption).values(state=CaptionState.ACCEPTED))
        session.execute(update(Image).values(split=Split.TEST))
        found = session.scalars(select(Caption.id).order_by(Caption.item_id)).all()
    older = datasets.freeze(database, open_blobs(settings), collection, "harbour").dataset_id
    with database.writing() as session:
        session.execute(
            update(Caption).where(Caption.id == found[0]).values(text=f"A {WORDS} runs across a beach.")
        )
    newer = datasets.freeze(database, open_blobs(settings), collection, "harbour").dataset_id
    with database.writing() as session:
        session.execute(update(Image).values(dhash=0x1234_5678))
    return Scene(database, collection, items, list(found), older, newer)


def addresses(scene: Scene) -> list[str]:
    item, caption, collection = scene.items[0], scene.captions[0], scene.collection
    return [
        f"/api/v1/items/{item}/captions",
        f"/api/v1/items/{item}/history",
        f"/api/v1/captions/{caption}",
        f"/api/v1/captions/{caption}/inside",
        f"/api/v1/collections/{collection}/items",
        f"/api/v1/collections/{collection}/items?q=dog",
        f"/api/v1/collections/{collection}/duplicates",
        f"/api/v1/datasets/{scene.newer}/items",
        f"/api/v1/datasets/{scene.newer}/differences?against={scene.older}",
        f"/items/{item}",
        f"/collections/{collection}",
        f"/collections/{collection}?q=dog",
        f"/collections/{collection}/tiles?show={item}",
        f"/collections/{collection}/duplicates",
        f"/collections/{collection}/bulk?operation=replace&states=accepted&captions=caption&find=dog&put=cat"
        "&preview=1",
        f"/datasets/{scene.newer}",
        f"/datasets/{scene.newer}/differences?against={scene.older}",
    ]


def telling(visitor: Visitor, scene: Scene) -> list[str]:
    """The addresses that answer with words of the model."""
    answers = {address: visitor.get(address).text for address in addresses(scene)}
    return [one for one, text in answers.items() if WORDS in text or '"brown"' in text or ">dog<" in text]


def test_nothing_that_is_read_shows_texts_before_the_photo_is_captioned_blind(
    reviewer: Visitor, scene: Scene
) -> None:
    assert telling(reviewer, scene) == addresses(scene)
    scene.draw()
    assert telling(reviewer, scene) == []
    for item in scene.items:
        answer = reviewer.call("PUT", f"/golden-sets/1/items/{item}", json={"text": "Two boats."})
        assert answer.status_code == 200
    # Lists show what people wrote from then on; what the model wrote is there to be read.
    assert telling(reviewer, scene)[:4] == addresses(scene)[:4]


def test_the_api_says_why_texts_are_kept_back(reviewer: Visitor, scene: Scene) -> None:
    scene.draw()
    answer = reviewer.call("GET", f"/items/{scene.items[0]}/captions")
    assert answer.status_code == 403
    assert "is in the golden set 'judge': caption it there" in answer.json["detail"]
    order = {"caption_ids": [scene.captions[0]]}
    assert reviewer.call("PUT", f"/items/{scene.items[0]}/captions/order", json=order).status_code == 403
    asked = {"kind": "continuation", "prefix": ""}
    assert reviewer.call("POST", f"/items/{scene.items[0]}/redecodings", json=asked).status_code == 403


def test_examples_of_a_bulk_operation_leave_the_texts_out_and_count_them(
    reviewer: Visitor, scene: Scene
) -> None:
    body = {
        "kind": "replace",
        "filter": {},
        "options": {"find": "dog", "put": "cat", "states": ["accepted"], "caption_kind": "caption"},
    }
    address = f"/collections/{scene.collection}/operations/preview"
    assert len(reviewer.call("POST", address, json=body).json["examples"]) == SIZE
    scene.draw()
    told = reviewer.call("POST", address, json=body).json
    assert (told["changed"], told["examples"]) == (SIZE, [])


def test_a_spot_check_draws_no_photo_of_which_the_texts_are_kept_back(
    reviewer: Visitor, database: Database, scene: Scene
) -> None:
    with database.writing() as session:
        session.execute(update(Caption).values(state=CaptionState.CANDIDATE))
    address, body = f"/collections/{scene.collection}/spot-checks", {"filter": {}}
    before = reviewer.call("POST", address, json=body)
    assert (before.status_code, len(before.json["captions"])) == (201, SIZE)
    with database.writing() as session:
        collection = session.get_one(Collection, scene.collection)
        golden_sets.draw(session, collection, name="judge", size=1, user=None)
    after = reviewer.call("POST", address, json=body)
    assert (after.status_code, len(after.json["captions"])) == (201, SIZE - 1)
    earlier = reviewer.call("GET", f"/spot-checks/{before.json['id']}")
    assert earlier.status_code == 409
    assert "golden set by now" in earlier.json["detail"]
    with database.writing() as session:
        golden_sets.draw(session, collection, name="others", size=SIZE - 1, user=None)
    none = reviewer.call("POST", address, json=body)
    assert (none.status_code, WORDS in none.text) == (409, False)


def test_comparisons_of_checkpoints_leave_the_texts_out(
    reviewer: Visitor, database: Database, settings: Settings, scene: Scene
) -> None:
    blobs = open_blobs(settings)
    with database.writing() as session:
        active = session.scalars(select(Checkpoint)).one()
        candidate = Checkpoint(
            name="boats-1", weights_sha256="6" * 64, description_sha256="7" * 64, description={}
        )
        session.add(candidate)
        session.flush()
        one = SetToMeasure(session.get_one(Dataset, scene.newer), Split.TEST)
        hashes = [item.sha256 for item in manifests.read(blobs, one.dataset.manifest_sha256)[1]]
        scores = {"scores": {"cider": 0.5}, "intervals": {"cider": [0.4, 0.6]}, "n": SIZE}
        for checkpoint, cider in ((active, 0.9), (candidate, 0.1)):
            said = [Predicted(sha256=key, caption=f"The {WORDS}.", cider=cider) for key in hashes]
            evaluations.record(
                session,
                checkpoint_id=checkpoint.id,
                measured_on=one,
                job_id=None,
                result=scores,
                predictions_sha256=blobs.put(regressions.to_lines(said)),
            )
        ids = {"candidate_id": candidate.id, "against_id": active.id, "job_id": None}
        difference = {"cider": {"value": -0.8, "low": -0.9, "high": -0.7, "p": 0.01}}
        result = {
            "n": SIZE,
            "candidate": {"cider": 0.1},
            "against": {"cider": 0.9},
            "difference": difference,
            "sd": 0.1,
        }
        evaluations.record_comparison(session, measured_on=one, result=result, **ids)
        samples = [{"item_id": scene.items[0], "before": f"The {WORDS}.", "after": "A boat."}]
        told = {"items": 9, "sample": 3, "estimate": 3, "estimate_low": 3, "estimate_high": 3}
        summary = {**told, "word_edits": 1.0, "samples": samples}
        impacts.record(session, collection_id=scene.collection, result=summary, **ids)
        pages = [f"/checkpoints/{candidate.id}", f"/api/v1/checkpoints/{candidate.id}/comparison"]
    assert [reviewer.get(page).text.count(WORDS) > 0 for page in pages] == [True, True]
    scene.draw()
    for page in pages:
        answer = reviewer.get(page)
        assert answer.status_code == 200
        assert WORDS not in answer.text
        assert "A boat." not in answer.text
