"""History: what happened, by whom and by what, and the way back to it."""

from collections.abc import Callable

import pytest
from sqlalchemy.orm import Session

from catalog import captions, chunks, decisions, history, items, jobs, recording, workers
from catalog.chunks import Claim
from catalog.errors import Conflict, NotFound, StaleCaption
from catalog.recording import Written
from catalog.schema import (
    Caption,
    CaptionState,
    Checkpoint,
    Collection,
    HistoryEntry,
    Item,
    Operation,
    OperationKind,
    Origin,
    ReviewState,
    User,
)

Filled = Callable[..., tuple[int, list[int], int]]
NewUser = Callable[..., User]


@pytest.fixture
def item(session: Session, filled: Filled, written: Callable[[Claim], list[Written]]) -> Item:
    """An item that a job captioned."""
    collection_id, (item_id,), checkpoint_id = filled(session, 1)
    jobs.create_caption_job(
        session,
        session.get_one(Collection, collection_id),
        checkpoint=session.get_one(Checkpoint, checkpoint_id),
        user=None,
    )
    claim = chunks.claim(session, worker_id=workers.register(session, name="w", device="cpu", version="0"))
    assert claim
    recording.record(session, claim, written(claim))
    return items.get(session, item_id, viewer=None)


@pytest.fixture
def caption(session: Session, item: Item) -> Caption:
    """The model's caption: A boat at 0000.jpg."""
    return captions.of_item(session, item)[0].caption


def entries(session: Session, item: Item) -> list[HistoryEntry]:
    """The item's entries, oldest first."""
    return [line.entry for line in history.of_item(session, item.id).rows][::-1]


def test_a_line_names_the_job_the_checkpoint_and_the_operation(
    session: Session, item: Item, caption: Caption, new_user: NewUser
) -> None:
    user = new_user(session, "Ada")
    operation = Operation(collection_id=item.collection_id, user_id=user.id, kind=OperationKind.REPLACE)
    session.add(operation)
    session.flush()
    captions.revise(session, caption, version=1, user=user, text="A red boat.")
    entries(session, item)[-1].operation_id = operation.id
    session.flush()
    edited, captioned = history.of_item(session, item.id).rows
    assert (captioned.who, captioned.words, captioned.checkpoint) == (
        None,
        "captioned it",
        "starter for Harbour",
    )
    assert captioned.entry.job_id == caption.job_id
    assert (edited.who, edited.operation, edited.checkpoint) == ("Ada", OperationKind.REPLACE, None)
    assert (edited.entry.text_before, edited.entry.text_after) == ("A boat at 0000.jpg.", "A red boat.")
    assert (captioned.restorable, captioned.undoable) == (True, False)
    assert (edited.restorable, edited.undoable) == (False, True)


def test_an_entry_of_a_caption_that_is_gone_is_still_told(
    session: Session, item: Item, caption: Caption
) -> None:
    session.delete(caption)
    session.flush()
    (line,) = history.of_item(session, item.id).rows
    assert line.caption is None
    assert not line.restorable


def test_restoring_brings_text_state_and_origin_back_and_loses_nothing(
    session: Session, item: Item, caption: Caption, new_user: NewUser
) -> None:
    user = new_user(session, "Ada")
    accepted = CaptionState.ACCEPTED
    captions.revise(session, caption, version=1, user=user, text="A red boat.", state=accepted)
    captions.revise(session, caption, version=2, user=None, text="A blue boat.")
    first, second, _ = entries(session, item)
    decisions.restore(session, caption, entry_id=first.id, version=3, user=user)
    assert (caption.text, caption.state) == ("A boat at 0000.jpg.", CaptionState.CANDIDATE)
    assert (caption.origin, caption.version, caption.author_id) == (Origin.MODEL, 4, user.id)
    assert item.review_state is ReviewState.PENDING
    newest = entries(session, item)[-1]
    assert (newest.action, newest.text_before) == ("restored", "A blue boat.")
    decisions.restore(session, caption, entry_id=second.id, version=4, user=user)
    assert (caption.text, caption.state, caption.origin) == ("A red boat.", accepted, Origin.EDITED)
    assert item.review_state is ReviewState.ACCEPTED
    assert len(entries(session, item)) == 5


def test_restoring_what_is_there_changes_nothing(session: Session, item: Item, caption: Caption) -> None:
    (only,) = entries(session, item)
    decisions.restore(session, caption, entry_id=only.id, version=1, user=None)
    assert caption.version == 1
    assert entries(session, item) == [only]


def test_a_stale_restore_is_refused_with_the_present_text(
    session: Session, item: Item, caption: Caption
) -> None:
    captions.revise(session, caption, version=1, user=None, text="A red boat.")
    with pytest.raises(StaleCaption) as refused:
        decisions.restore(session, caption, entry_id=entries(session, item)[0].id, version=1, user=None)
    assert (refused.value.current, refused.value.version) == ("A red boat.", 2)
    with pytest.raises(StaleCaption):
        decisions.undo(session, caption, version=1, user=None)
    assert caption.text == "A red boat."


def test_an_entry_of_another_caption_is_not_found(session: Session, item: Item, caption: Caption) -> None:
    other = captions.write(session, item, text="A ship.", user=None)
    entry = entries(session, item)[-1]
    assert entry.caption_id == other.id
    for entry_id in (entry.id, 999_999):
        with pytest.raises(NotFound, match="no history entry"):
            decisions.restore(session, caption, entry_id=entry_id, version=1, user=None)


def test_a_caption_cannot_be_restored_to_nothing(session: Session, item: Item, caption: Caption) -> None:
    replaced = HistoryEntry(
        item_id=item.id, caption_id=caption.id, action="replaced", version=1, text_before="x"
    )
    session.add(replaced)
    session.flush()
    with pytest.raises(Conflict, match="said nothing then"):
        decisions.restore(session, caption, entry_id=replaced.id, version=1, user=None)


def test_an_undo_takes_back_the_last_change_and_an_undo_of_that_brings_it_back(
    session: Session, item: Item, caption: Caption, new_user: NewUser
) -> None:
    user = new_user(session, "Ada")
    captions.revise(session, caption, version=1, user=user, text="A red boat.", state=CaptionState.ACCEPTED)
    decisions.undo(session, caption, version=2, user=user)
    assert (caption.text, caption.state) == ("A boat at 0000.jpg.", CaptionState.CANDIDATE)
    assert (caption.origin, caption.version) == (Origin.MODEL, 3)
    decisions.undo(session, caption, version=3, user=user)
    assert (caption.text, caption.state, caption.origin) == (
        "A red boat.",
        CaptionState.ACCEPTED,
        Origin.EDITED,
    )
    assert [entry.action for entry in entries(session, item)][2:] == ["took back", "took back"]


def test_a_fresh_caption_has_nothing_to_take_back(session: Session, item: Item, caption: Caption) -> None:
    with pytest.raises(Conflict, match="no change"):
        decisions.undo(session, caption, version=1, user=None)
    fresh = captions.write(session, item, text="A ship.", user=None)
    with pytest.raises(Conflict, match="reject it"):
        decisions.undo(session, fresh, version=1, user=None)
    captions.revise(session, fresh, version=1, user=None, language="nl")
    with pytest.raises(Conflict, match="reject it"):
        decisions.undo(session, fresh, version=2, user=None)


def test_entries_of_earlier_releases_say_nothing_of_the_origin(
    session: Session, item: Item, caption: Caption
) -> None:
    captions.revise(session, caption, version=1, user=None, text="A red boat.")
    for entry in entries(session, item):
        entry.origin_before = entry.origin_after = None
    session.flush()
    decisions.undo(session, caption, version=2, user=None)
    assert (caption.text, caption.origin) == ("A boat at 0000.jpg.", Origin.EDITED)
