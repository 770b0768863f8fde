"""The benchmarks run, on a small catalog."""

import json

import pytest

from benchmarks import catalog_scale


def test_the_catalog_is_measured_and_nothing_else_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--sqlite-items", "400", "--postgresql-items", "0", "--job-sizes", "1000", "--runs", "1"]
    catalog_scale.main(sizes)
    printed = json.loads(capsys.readouterr().out)
    assert set(printed) == {"machine", "sqlite"}
    assert printed["sqlite"]["items"] == 400
    assert all(set(times) == {"median", "worst"} for times in printed["sqlite"]["answers"].values())
    statements = printed["sqlite"]["worker"]["1000"]["statements_a_chunk"]
    assert max(statements) - min(statements) == 1, "the first chunk also tells that the job began"
