"""Installations with real worker processes, over each broker and database."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.functional.installation import Installation, installed


@pytest.fixture(params=["filesystem and SQLite", "Redis and PostgreSQL"])
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installation]:
    """A migrated installation with the shipped checkpoint."""
    variables = {"RECAPTION_HOME": str(tmp_path / "home")}
    if request.param == "Redis and PostgreSQL":
        variables["RECAPTION_DATABASE_URL"] = request.getfixturevalue("empty_postgresql")
        variables["RECAPTION_BROKER_URL"] = request.getfixturevalue("redis_url")
    with installed(variables) as installation:
        yield installation


@pytest.fixture
def photos(tmp_path: Path, photo: Callable[..., Path]) -> Callable[[int], Path]:
    """A function that makes a folder of so many photos."""

    def make(count: int) -> Path:
        for number in range(count):
            photo(tmp_path / "photos" / f"{number:04}.jpg", number)
        return tmp_path / "photos"

    return make


@pytest.fixture
def started(installation: Installation, photos: Callable[[int], Path]) -> Callable[..., int]:
    """A function that imports so many photos, starts a caption job and returns its id."""

    def start(count: int, **options: Any) -> int:
        installation.run("import", "Harbour", str(photos(count)))
        arguments = [f"--{name}={value}" for name, value in options.items()]
        answer = installation.run("job", "caption", "Harbour", *arguments)
        return int(answer.stdout.split()[1])

    return start
