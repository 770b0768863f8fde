"""The real worker process with the real captioner, over each broker and database; tests/faults breaks it."""

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sqlalchemy import func, select

from catalog import workers
from catalog.jobs import CHUNK_SIZE
from catalog.schema import Caption, Chunk, ChunkState, Item, JobItem, JobState
from tests.faults.processes import arguments, children, wait_until
from tests.functional.installation import Installation

Started = Callable[..., int]
ENOUGH_TO_BE_CAUGHT = CHUNK_SIZE * 3


def captions_per_item(installation: Installation) -> list[int]:
    with installation.database.reading() as session:
        query = select(func.count(Caption.id)).select_from(Item).outerjoin(Caption).group_by(Item.id)
        return list(session.scalars(query))


def test_a_job_is_captioned_and_exported(
    installation: Installation, started: Started, tmp_path: Path
) -> None:
    job_id = started(CHUNK_SIZE + 6)
    with installation.worker():
        job = installation.wait_for_end(job_id)
    assert (job.state, job.done, job.failed) == (JobState.DONE, CHUNK_SIZE + 6, 0)
    assert set(captions_per_item(installation)) == {1}
    installation.run("export", "Harbour", "--format", "jsonl", "--output", str(tmp_path / "out"))
    lines = (tmp_path / "out" / "captions.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["captions"][0]["text"] for line in lines]
    assert len(texts) == CHUNK_SIZE + 6
    assert all(text.endswith(".") and text[0].isupper() for text in texts)


def test_every_gpu_gets_a_worker_of_its_own(installation: Installation) -> None:
    # Two GPUs that are not there: the workers come up all the same, for only their children look for them.
    many = replace(installation, variables={**installation.variables, "CUDA_VISIBLE_DEVICES": "0,1"})
    with many.worker("host", device="auto") as process:
        assert many.wait_until_alive(2) == ["host:cuda0", "host:cuda1"]
        (killed,) = [pid for pid in children(process.pid) if "host:cuda1" in arguments(pid)]
        os.killpg(killed, signal.SIGKILL)
        wait_until(lambda: killed not in children(process.pid), "the dead worker is buried")
        assert many.wait_until_alive(2) == ["host:cuda0", "host:cuda1"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    with installation.database.reading() as session:
        assert (workers.alive(session), workers.mourned(session)) == ([], [])


def test_a_deploy_that_signals_the_whole_group_ends_the_worker_in_time_and_charges_nobody(
    installation: Installation, started: Started
) -> None:
    job_id = started(ENOUGH_TO_BE_CAUGHT)
    with installation.worker("old") as process:
        installation.wait(job_id, lambda job: job.done > 0)
        os.killpg(process.pid, signal.SIGTERM)
        begun = time.monotonic()
        assert process.wait(timeout=20) == 0
        assert time.monotonic() - begun < 15
    with installation.database.reading() as session:
        assert session.scalar(select(func.count()).where(Chunk.state == ChunkState.CLAIMED)) == 0
        assert session.scalar(select(func.max(JobItem.found_in_hand))) == 0
        assert not session.scalar(select(func.count()).where(Chunk.one_by_one))
    with installation.worker("new"):
        assert installation.wait_for_end(job_id).done == ENOUGH_TO_BE_CAUGHT
    assert set(captions_per_item(installation)) == {1}
