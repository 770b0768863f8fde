"""Pictures that kill whoever captions them, or hang him for ever."""

import pytest
from sqlalchemy import select

from catalog.chunks import POISON_AFTER
from catalog.schema import Item, JobItem, JobItemState, JobState
from tests.faults.bench import Bench
from tests.faults.conftest import Injected
from tests.faults.invariant import invariant
from tests.faults.stubbed import HANGER, KILLER

ITEMS = 200
# A drain that hangs is killed after this time, so no other may take as long.
LIMITS = {"RECAPTION_STUB_HARD_LIMIT": "5", "RECAPTION_STUB_DRAIN_FOR": "1"}


@pytest.mark.fault(9, "an item that kills its worker and one that hangs it, in a chunk with good ones")
def test_only_the_guilty_fail_as_poison(installation: Bench, injected: Injected) -> None:
    installation.variables.update(LIMITS)
    guilty = {70: KILLER, 90: HANGER}
    job_id = installation.submit(installation.fill(ITEMS, guilty))
    installation.start_workers(2)
    assert installation.wait_for_end(job_id).state is JobState.DONE
    assert invariant(installation.database, job_id) == {"done": ITEMS - 2, "failed": 2}
    with installation.database.reading() as session:
        charged = (
            select(Item.position, JobItem.state, JobItem.error, JobItem.found_in_hand)
            .join(JobItem)
            .where(JobItem.found_in_hand > 0)
        )
        rows = session.execute(charged).all()
    assert {row.position for row in rows} == set(guilty)
    for row in rows:
        assert (row.state, row.found_in_hand) == (JobItemState.FAILED, POISON_AFTER)
        assert row.error.startswith("poison")
        injected.one()
