"""Exports as downloads."""

import csv
import io
import json

from tests.dashboard.conftest import MODEL_TEXT
from tests.dashboard.visitor import Visitor


def test_jsonl_holds_a_line_an_item_with_all_its_captions(
    admin: Visitor, collection: int, item: int, caption: int
) -> None:
    admin.call("POST", f"/items/{item}/captions", json={"text": "Ein Hund läuft.", "language": "de"})
    answer = admin.get(f"/collections/{collection}/export?format=jsonl")
    assert answer.headers["Content-Disposition"] == "attachment; filename=harbour-captions.jsonl"
    (row,) = [json.loads(line) for line in answer.text.splitlines()]
    assert row["path"] == "0000.png"
    assert row["state"] == "accepted"
    assert [(one["text"], one["origin"]) for one in row["captions"]] == [
        (MODEL_TEXT, "model"),
        ("Ein Hund läuft.", "written"),
    ]


def test_csv_opens_in_a_spreadsheet_without_running_anything(
    admin: Visitor, collection: int, item: int
) -> None:
    admin.call("POST", f"/items/{item}/captions", json={"text": "=HYPERLINK(A1)"})
    answer = admin.call("GET", f"/collections/{collection}/export?format=csv")
    assert answer.mimetype == "text/csv"
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert row["caption"] == "'=HYPERLINK(A1)"


def test_an_unknown_format_is_refused(admin: Visitor, collection: int) -> None:
    assert admin.get(f"/collections/{collection}/export?format=docx").status_code == 422
    assert admin.call("GET", f"/collections/{collection}/export?format=docx").status_code == 422
