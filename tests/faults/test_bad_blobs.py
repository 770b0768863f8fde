"""Blobs that vanish or rot under a job: those of pictures, and those of its checkpoint."""

import pytest
from sqlalchemy import select

from catalog.blobs.local import LocalBlobs
from catalog.schema import Item, JobItem, JobState
from tests.faults.bench import Bench
from tests.faults.conftest import Injected
from tests.faults.invariant import invariant

VANISHED, ROTTEN = 1000, 1001  # pictures


@pytest.mark.fault(13, "a blob vanishes or rots between import and captioning")
def test_an_item_whose_blob_is_bad_fails_with_the_reason(installation: Bench, injected: Injected) -> None:
    special = {70: VANISHED, 100: ROTTEN, 250: VANISHED}
    collection_id = installation.fill(300, special)
    assert isinstance(installation.blobs, LocalBlobs)
    installation.blobs.delete(installation.picture(VANISHED))
    installation.blobs.path(installation.picture(ROTTEN)).write_bytes(b"rot")
    injected.one()
    injected.one()
    job_id = installation.submit(collection_id)
    installation.start_workers(1)
    assert installation.wait_for_end(job_id).state is JobState.DONE
    states = invariant(installation.database, job_id, may_fail=(VANISHED, ROTTEN))
    assert states == {"done": 297, "failed": 3}
    with installation.database.reading() as session:
        failed = select(Item.position, JobItem.error).join(JobItem).where(JobItem.error.is_not(None))
        errors = dict(map(tuple, session.execute(failed).all()))
    assert set(errors) == set(special)
    assert all("is missing" in errors[position] for position in (70, 250))
    assert "is damaged" in errors[100]
