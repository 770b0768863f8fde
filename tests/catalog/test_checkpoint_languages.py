"""Which language a checkpoint writes, told by its train job, its description, or where it comes from."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.orm import Session

from catalog import checkpoint_languages
from catalog.schema import Checkpoint, Dataset, DatasetKind

Train = Callable[..., Checkpoint]


def about(language: Any) -> dict[str, Any]:
    return {"name": "one", "lineage": {"data": {"language": language}}}


def test_the_train_job_tells_also_of_a_copy_whatever_that_says(
    session: Session, frozen: Callable[..., Dataset], trained: Train
) -> None:
    learned = frozen(session, None, "Barcos", kind=DatasetKind.CURATED)
    made, copy = trained(session, "barcos-1", learned, language="pt"), trained(session, "copy")
    copy.weights_sha256, copy.description = made.weights_sha256, about("de")
    session.flush()
    assert [checkpoint_languages.written(session, one) for one in (made, copy)] == ["pt", "pt"]


@pytest.mark.parametrize(
    ("description", "language"),
    [
        (about("pt-BR"), "pt"),
        (about("no language!"), None),
        (about(7), None),
        ({"lineage": {"data": []}}, None),
        ({"lineage": "none"}, None),
        ({}, None),
    ],
)
def test_the_description_tells_of_one_from_elsewhere(
    session: Session, trained: Train, description: dict[str, Any], language: str | None
) -> None:
    uploaded = trained(session, "uploaded")
    uploaded.description = description
    session.flush()
    assert checkpoint_languages.written(session, uploaded) == language


def test_what_is_shipped_writes_english_and_so_does_what_has_to_take_its_place(
    session: Session, trained: Train
) -> None:
    starter, uploaded = trained(session, "starter-4"), trained(session, "uploaded")
    assert checkpoint_languages.written(session, starter) == "en"
    assert checkpoint_languages.judged_in(session, uploaded, starter) == "en"
    assert checkpoint_languages.judged_in(session, uploaded, uploaded) is None
