"""The difference between two texts, as pages show it."""

import pytest

from dashboard.differences import changed


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        ("A dog runs.", "A dog runs.", "A dog runs."),
        ("A brown dog runs.", "A wet dog runs.", "A <del>brown</del><ins>wet</ins> dog runs."),
        ("A dog runs", "A dog runs.", "A dog runs<ins>.</ins>"),
        ("A big dog.", "A dog.", "A<del> big</del> dog."),
        (
            "A person is sitting on a hill.",
            "A red kite above the harbour.",
            "A <del>person is sitting on a hill</del><ins>red kite above the harbour</ins>.",
        ),
        ("<b>", "<i>", "&lt;<del>b</del><ins>i</ins>&gt;"),
        ("", "New.", "<ins>New.</ins>"),
    ],
)
def test_what_differs_is_marked_in_runs_that_can_be_read(before: str, after: str, shown: str) -> None:
    assert changed(before, after) == shown
