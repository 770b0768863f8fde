"""Workers of different releases beside each other."""

import pytest
from sqlalchemy import select

from catalog.jobs import PROTOCOL
from catalog.schema import Job, JobEvent, JobState
from tests.faults.bench import Bench
from tests.faults.conftest import Injected
from tests.faults.invariant import invariant
from tests.faults.processes import wait_until

OLDER = str(PROTOCOL - 1)


@pytest.mark.fault(15, "two workers with different code versions")
def test_an_older_worker_leaves_jobs_that_it_does_not_know_to_newer_ones(
    installation: Bench, injected: Injected
) -> None:
    newer, known = (installation.submit(installation.fill(200, name=name)) for name in ("Newer", "Known"))
    with installation.database.writing() as session:
        session.get_one(Job, known).protocol = PROTOCOL - 1
    installation.start_worker("older", RECAPTION_STUB_PROTOCOL=OLDER)
    injected.one()
    assert installation.wait_for_end(known).state is JobState.DONE
    wait_until(lambda: bool(refusals(installation, newer)), "the older worker tells why it refuses", 60)
    (reason,) = refusals(installation, newer)
    assert "older is too old for this job" in reason
    assert f"protocol {PROTOCOL}" in reason
    assert (installation.job(newer).state, installation.job(newer).done) == (JobState.QUEUED, 0)
    installation.start_worker("newer")
    assert installation.wait_for_end(newer).state is JobState.DONE
    for job_id in (newer, known):
        assert invariant(installation.database, job_id) == {"done": 200}
    assert refusals(installation, known) == []


def refusals(bench: Bench, job_id: int) -> list[str]:
    with bench.database.reading() as session:
        told = select(JobEvent.text).where(JobEvent.job_id == job_id, JobEvent.action == "refused")
        return list(session.scalars(told))
