"""The page of checkpoints."""

from tests.dashboard.visitor import Visitor


def test_name_state_and_scores_are_shown(admin: Visitor, checkpoint: int) -> None:
    page = admin.get("/checkpoints").text
    assert "starter-1" in page
    assert "active" in page
    assert "0.213" in page
    assert "split dev, n 1000" in page
    assert "2 words" in page


def test_an_empty_list_says_where_checkpoints_come_from(admin: Visitor) -> None:
    assert "recaption migrate" in admin.get("/checkpoints").text
