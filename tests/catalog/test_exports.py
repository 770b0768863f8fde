import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from catalog import captions, exports, items
from catalog.errors import InvalidInput
from catalog.exports import rows
from catalog.schema import Collection, Item

Filled = Callable[..., tuple[int, list[int], int]]


@pytest.fixture
def collection(session: Session, filled: Filled) -> Collection:
    """Three items: the first with two captions, the second a twin of the first's picture, the third bare."""
    collection_id, item_ids, _ = filled(session, 3)
    first = items.get(session, item_ids[0], viewer=None)
    captions.write(session, first, text="=SUM(1) a\nb “c”", user=None)
    captions.write(session, first, text="Zwei Boote.", language="de", user=None)
    second = session.get_one(Item, item_ids[1])
    second.image_id, second.external_id = first.image_id, "INV-7"
    session.flush()
    return session.get_one(Collection, collection_id)


def exported(session: Session, collection: Collection, format: str) -> str:
    stream = io.StringIO(newline="")
    exports.write_export(session, collection, format, stream)
    return stream.getvalue()


def test_jsonl_has_a_row_an_item_with_all_its_captions(session: Session, collection: Collection) -> None:
    lines = [json.loads(line) for line in exported(session, collection, "jsonl").splitlines()]
    assert [line["path"] for line in lines] == ["0000.jpg", "0001.jpg", "0002.jpg"]
    assert [caption["text"] for caption in lines[0]["captions"]] == ["=SUM(1) a\nb “c”", "Zwei Boote."]
    assert (lines[0]["state"], lines[0]["captions"][1]["language"]) == ("accepted", "de")
    assert lines[1]["sha256"] == lines[0]["sha256"]
    assert lines[1]["external_id"] == "INV-7"
    assert lines[2]["captions"] == []


def test_csv_guards_against_formulas(session: Session, collection: Collection) -> None:
    table = list(csv.DictReader(io.StringIO(exported(session, collection, "csv"), newline="")))
    assert [row["path"] for row in table] == ["0000.jpg", "0000.jpg", "0001.jpg", "0002.jpg"]
    assert table[0]["caption"] == "'=SUM(1) a\nb “c”"
    assert table[3]["caption"] == ""


def test_long_collections_are_read_in_pages(
    session: Session, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = exported(session, collection, "jsonl")
    monkeypatch.setattr(rows, "ROWS_AT_A_TIME", 2)
    assert exported(session, collection, "jsonl") == whole


def test_an_unknown_format_names_the_known_ones(session: Session, collection: Collection) -> None:
    with pytest.raises(InvalidInput, match="jsonl, csv"):
        exported(session, collection, "docx")


def test_a_file_is_replaced_whole(session: Session, collection: Collection, tmp_path: Path) -> None:
    path = exports.export_to(session, collection, "csv", tmp_path / "out")
    assert path.read_text(encoding="utf-8").startswith("path,external_id,sha256")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["captions.csv"]
