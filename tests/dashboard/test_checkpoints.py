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


def test_reasons_of_corrections_are_shown_once_there_are_any(
    admin: Visitor, caption: int, checkpoint: int
) -> None:
    assert "where they said why" not in admin.get("/checkpoints").text
    admin.call("PATCH", f"/captions/{caption}", json={"version": 1, "text": "A cat.", "reason": "subject"})
    page = admin.get("/checkpoints").text
    rows = [" ".join(row.split()) for row in page.split("<tr>")[1:]]
    assert [row.partition('scope="row">')[2].partition("<")[0] for row in rows] == [
        "subject",
        "attribute",
        "number",
        "place",
        "wording",
    ]
    assert ["<td>1</td>" in row for row in rows] == [True, False, False, False, False]


def test_reasons_of_hidden_collections_are_not_shown(
    admin: Visitor, reviewer: Visitor, caption: int, checkpoint: int
) -> None:
    admin.call("PATCH", f"/captions/{caption}", json={"version": 1, "text": "A cat.", "reason": "subject"})
    assert "where they said why" not in reviewer.get("/checkpoints").text
