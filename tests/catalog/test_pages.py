"""Listings go on behind a key, and what is counted by triggers adds up."""

import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from catalog import accounts, captions, checkpoints, collections, history, items, jobs
from catalog.database import Database
from catalog.errors import NotFound
from catalog.pages import Listing
from catalog.schema import (
    ITEM_COUNTS,
    Checkpoint,
    Collection,
    Item,
    JobItem,
    JobItemState,
    ReviewState,
    User,
)

ROOT = Path(__file__).parents[2]
Filled = Callable[..., tuple[int, list[int], int]]
NAMES = ["anna", "Bert", "Čapek", "dora", "ζ", "zoë", "Zora"]


def ids_of(page: Callable[..., Listing[object]], id_of: Callable[..., int]) -> tuple[list[int], list[int]]:
    """The ids in one long page, and in pages of two."""
    whole, short, after = [id_of(row) for row in page(limit=100).rows], [], None
    while True:
        found = page(limit=2, after=after)
        short += [id_of(row) for row in found.rows]
        if found.after is None:
            return whole, short
        assert len(found.rows) == 2
        after = found.after


def the_same_in_pages(page: Callable[..., Listing[object]], id_of: Callable[..., int], count: int) -> None:
    whole, short = ids_of(page, id_of)
    assert len(whole) == count
    assert short == whole


def test_every_listing_is_the_same_in_short_pages(
    session: Session, filled: Filled, new_user: Callable[..., User]
) -> None:
    """Names of any case and script, some jobs, failures and changes of a caption."""
    collection_id, item_ids, checkpoint_id = filled(session, 5)
    collection, checkpoint = (
        session.get_one(Collection, collection_id),
        session.get_one(Checkpoint, checkpoint_id),
    )
    for name in NAMES:
        collections.create(session, name=name, owner=None)
        collections.add_member(session, collection, new_user(session, name))
        fields = {"weights_sha256": "0", "description_sha256": "1", "description": {}}
        session.add(Checkpoint(name=name, **fields))
    made = [jobs.create_caption_job(session, collection, checkpoint=checkpoint, user=None) for _ in range(3)]
    session.execute(update(JobItem).where(JobItem.job_id == made[0].id).values(state=JobItemState.FAILED))
    item = items.get(session, item_ids[0], viewer=None)
    caption = captions.write(session, item, text="A boat", user=None)
    for version in (1, 2):
        captions.revise(session, caption, version=version, user=None, text=f"A boat {version}")

    def failures(**page: int | None) -> Listing[jobs.Failure]:
        return jobs.failures(session, made[0], **page)  # type: ignore[arg-type]

    def changes(**page: int | None) -> Listing[history.Line]:
        return history.of_item(session, item.id, **page)  # type: ignore[arg-type]

    def members(**page: int | None) -> Listing[User]:
        return collections.members(session, collection, **page)  # type: ignore[arg-type]

    def summaries(**page: int | None) -> Listing[collections.Summary]:
        return collections.summaries(session, viewer=None, **page)  # type: ignore[arg-type]

    the_same_in_pages(summaries, lambda row: row.collection.id, len(NAMES) + 1)
    the_same_in_pages(members, lambda row: row.id, len(NAMES))
    the_same_in_pages(lambda **page: accounts.users(session, **page), lambda row: row.id, len(NAMES))
    the_same_in_pages(lambda **page: checkpoints.newest(session, **page), lambda row: row.id, len(NAMES) + 1)
    the_same_in_pages(lambda **page: jobs.recent(session, viewer=None, **page), lambda row: row.id, 3)
    the_same_in_pages(failures, lambda row: row.item_id, 5)
    the_same_in_pages(changes, lambda row: row.entry.id, 3)


def test_a_page_behind_what_was_deleted_says_so(session: Session) -> None:
    with pytest.raises(NotFound, match="load the list again"):
        collections.summaries(session, viewer=None, after=777)


def test_no_statement_counts_rows_to_skip_them() -> None:
    rooms = [path for room in ("catalog", "dashboard", "worker") for path in (ROOT / room).rglob("*.py")]
    assert len(rooms) > 50
    offset = re.compile(r"\.offset\(|\bOFFSET\b|\.slice\(")
    assert [path.name for path in rooms if offset.search(path.read_text(encoding="utf-8"))] == []


def counted(session: Session) -> dict[tuple[int, str], int]:
    rows = session.execute(
        select(Item.collection_id, Item.review_state, func.count()).group_by(
            Item.collection_id, Item.review_state
        )
    )
    return {(collection_id, state): number for collection_id, state, number in rows}


def shown(session: Session) -> dict[tuple[int, str], int]:
    found = collections.summaries(session, viewer=None).rows
    return {(one.collection.id, state): number for one in found for state, number in one.states.items()}


def test_items_are_counted_whoever_changes_them(session: Session, filled: Filled) -> None:
    first, first_ids, _ = filled(session, 150)
    second, _, _ = filled(session, 3, "Lake")
    assert shown(session) == counted(session)
    session.execute(update(Item).where(Item.id > first_ids[70]).values(review_state=ReviewState.PENDING))
    session.execute(update(Item).where(Item.id == first_ids[0]).values(review_state=ReviewState.REJECTED))
    session.execute(update(Item).where(Item.id == first_ids[1]).values(collection_id=second, flagged=True))
    session.execute(delete(Item).where(Item.id.in_(first_ids[60:80])))
    assert shown(session) == counted(session)
    assert session.scalar(select(func.count()).select_from(ITEM_COUNTS)) < 2 * 64 + 8
    session.execute(delete(Collection).where(Collection.id == first))
    assert shown(session) == counted(session)
    left = select(func.count()).select_from(ITEM_COUNTS).where(ITEM_COUNTS.c.collection_id == first)
    assert session.scalar(left) == 0


def test_people_who_count_at_once_do_not_wait_for_each_other(database: Database, filled: Filled) -> None:
    with database.writing() as session:
        _, item_ids, _ = filled(session, 8)

    def change(item_id: int) -> None:
        for number in range(40):
            state = ReviewState.PENDING if number % 2 else ReviewState.ACCEPTED
            with database.writing() as session:
                session.execute(update(Item).where(Item.id == item_id).values(review_state=state))

    people = [threading.Thread(target=change, args=[item_id]) for item_id in item_ids[:4]]
    for person in people:
        person.start()
    for person in people:
        person.join()
    with database.reading() as session:
        assert shown(session) == counted(session)
        assert collections.miscounted(session) == []
        assert session.scalar(select(func.count()).select_from(ITEM_COUNTS)) < 4 * 64
