"""What corrections gave, counted alike on both databases."""

import time
from collections.abc import Callable

from sqlalchemy import insert

from catalog import promotions
from catalog.database import Database
from catalog.loop_progress import REVIEWED, Reviews, loop_progress
from catalog.schema import (
    Caption,
    CaptionDetail,
    CaptionState,
    Checkpoint,
    HistoryEntry,
    Origin,
    Role,
    User,
)

MODEL_TEXT = "A small boat lies at the jetty."
CORRECTED = "A small red boat lies at the old pier."


def decided(
    database: Database, item_id: int, checkpoint_id: int, first: int, texts: list[str], user_id: int
) -> None:
    """Accepted captions of one checkpoint, with the ids from `first` on."""
    ids = range(first, first + len(texts))
    same = {"item_id": item_id, "checkpoint_id": checkpoint_id, "author_id": user_id}
    same |= {"origin": Origin.EDITED, "state": CaptionState.ACCEPTED}
    thought = {"model_text": MODEL_TEXT, "score": -0.5}
    thought |= {"tokens": [], "token_probabilities": [], "alternatives": []}
    with database.writing() as session:
        rows = [{"id": number, "text": text} | same for number, text in zip(ids, texts, strict=True)]
        session.execute(insert(Caption), rows)
        session.execute(insert(CaptionDetail), [{"caption_id": number} | thought for number in ids])


def in_bulk(database: Database, item_id: int, caption_id: int) -> None:
    entry = {"item_id": item_id, "caption_id": caption_id, "action": "edited", "version": 2}
    with database.writing() as session:
        session.execute(insert(HistoryEntry).values(operation_id=1, **entry))


def test_each_checkpoint_that_was_active_is_told_by_its_newest_reviews(
    database: Database,
    filled: Callable[..., tuple[int, list[int], int]],
    trained: Callable[..., Checkpoint],
    new_user: Callable[..., User],
) -> None:
    with database.writing() as session:
        ada = new_user(session, "ada", Role.ADMIN)
        _, items, first = filled(session, 1)
        second = trained(session, "boats-1")
        promotions.promote(session, second, user=None, reason="a person looked")
    decided(database, items[0], first, 1, [CORRECTED, "a small boat lies at THE jetty", MODEL_TEXT], ada.id)
    decided(database, items[0], second.id, 10, [CORRECTED] * (REVIEWED + 20), ada.id)
    in_bulk(database, items[0], 3)
    began = time.process_time()
    with database.reading() as session:
        steps = loop_progress(session, ada).steps
    assert time.process_time() - began < 2.0
    assert [step.checkpoint.id for step in steps] == [first, second.id]
    assert steps[0].since is None
    assert steps[1].since is not None
    # “red” and “old” are put in, and “jetty” becomes “pier”.
    assert steps[0].reviews == Reviews(decided=2, accepted=2, unchanged=1, edits=3)
    assert steps[1].reviews.decided == REVIEWED
    assert steps[1].reviews.edits == 3 * REVIEWED


def test_before_anything_was_promoted_there_is_the_active_checkpoint_alone(
    database: Database, filled: Callable[..., tuple[int, list[int], int]]
) -> None:
    with database.reading() as session:
        assert loop_progress(session, None).steps == ()
    with database.writing() as session:
        _, _, active = filled(session, 1)
    with database.reading() as session:
        found = loop_progress(session, None)
    assert [step.checkpoint.id for step in found.steps] == [active]
    assert found.golden is None
