"""Captions that come along with photos, in every format that a folder may bring them in."""

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sqlalchemy import select

from catalog import collections, exports, history, near_duplicates
from catalog.blobs import BlobStore
from catalog.captions import TEXT_LENGTH
from catalog.commands import import_command
from catalog.database import Database
from catalog.errors import InvalidInput
from catalog.export_command import export_command
from catalog.exports.csv import guarded, unguarded
from catalog.imports.arrivals import arriving
from catalog.imports.rows import NAME_LENGTH
from catalog.ingest import FileReport, ingest
from catalog.schema import Caption, CaptionState, Item, Origin, ReviewState
from pictures.sandbox import DecodingProcess

Photo = Callable[..., Path]


@pytest.fixture
def imported(
    database: Database, blobs: BlobStore, decoder: DecodingProcess
) -> Callable[..., list[FileReport]]:
    """A function that imports a folder with its captions into a collection."""

    def run(folder: Path, collection: str = "Harbour", **options: object) -> list[FileReport]:
        with database.writing() as session:
            held = [summary.collection for summary in collections.summaries(session, viewer=None).rows]
            found = next((one for one in held if one.name == collection), None)
            found = found or collections.create(session, name=collection, owner=None)
        arrival = arriving(folder, staging=blobs.folder / "staging", **options)  # type: ignore[arg-type]
        return [*arrival.left_out, *ingest(database, blobs, decoder, found.id, arrival.files)]

    return run


@pytest.fixture
def exported(database: Database) -> Callable[..., str]:
    def run(collection: str = "Harbour", format: str = "jsonl") -> str:
        stream = io.StringIO(newline="")
        with database.reading() as session:
            exports.write_export(session, collections.by_name(session, collection), format, stream)
        return stream.getvalue()

    return run


@pytest.fixture
def folder(photo: Photo, tmp_path: Path) -> Path:
    """Three photos, one of them in a folder of its own."""
    for number, path in enumerate(("boats.jpg", "pier.jpg", "old/mill.jpg")):
        photo(tmp_path / "photos" / path, number)
    return tmp_path / "photos"


def texts(export: str) -> dict[str, list[str]]:
    rows = map(json.loads, export.splitlines())
    return {row["path"]: [caption["text"] for caption in row["captions"]] for row in rows}


LOSSLESS = [
    {
        "path": "old/mill.jpg",
        "external_id": "INV-7",
        "rights": "Harbour Museum",
        "metadata": {"box": 7, "tags": ["mill", "wind\u00fc"]},
        "flagged": True,
        "captions": [
            {
                "text": "=SUM(1) a mill\nby the sea \u201cat dusk\u201d \U0001f305",
                "state": "accepted",
                "origin": "edited",
            },
            {
                "text": "Eine M\u00fchle.",
                "language": "de",
                "kind": "alt",
                "state": "rejected",
                "origin": "imported",
            },
            {"text": "A mill.", "state": "candidate", "origin": "model", "checkpoint": "blip-base 1.2"},
        ],
    },
    {
        "path": "boats.jpg",
        "captions": [{"text": "Boats.", "state": "accepted", "origin": "accepted unchanged", "version": 4}],
    },
    {"path": "pier.jpg", "captions": []},
]


def test_jsonl_imported_and_exported_and_imported_loses_nothing(
    imported: Callable[..., list[FileReport]], exported: Callable[..., str], folder: Path
) -> None:
    file = folder / "captions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in LOSSLESS))
    assert [report.status for report in imported(folder)] == ["imported"] * 3
    first = exported()
    for row, line in zip(LOSSLESS, map(json.loads, first.splitlines()), strict=True):
        for name, value in row.items():
            if name != "captions":
                assert line[name] == value
        for caption, written in zip(row["captions"], line["captions"], strict=True):  # type: ignore[arg-type]
            assert caption.items() <= written.items()
    file.write_text(first)
    imported(folder, "Copy")
    assert exported("Copy") == first


def test_captions_are_added_once_and_under_a_history(
    imported: Callable[..., list[FileReport]], database: Database, folder: Path
) -> None:
    row = {"path": "boats.jpg", "captions": ["Two boats.", {"text": "Zwei Boote.", "language": "de"}]}
    (folder / "captions.jsonl").write_text(json.dumps(row))
    assert imported(folder)[0].detail == "2 captions came along"
    assert imported(folder)[0].detail == "imported before; 0 captions came along"
    with database.reading() as session:
        item = session.scalars(select(Item).where(Item.path == "boats.jpg")).one()
        held = session.scalars(select(Caption).order_by(Caption.id)).all()
        lines = history.of_item(session, item.id).rows
    assert item.review_state is ReviewState.ACCEPTED
    assert [(one.text, one.origin, one.state) for one in held] == [
        ("Two boats.", Origin.IMPORTED, CaptionState.ACCEPTED),
        ("Zwei Boote.", Origin.IMPORTED, CaptionState.ACCEPTED),
    ]
    assert [(line.entry.action, line.entry.text_after) for line in lines] == [
        ("imported", "Zwei Boote."),
        ("imported", "Two boats."),
    ]


def test_captions_of_a_model_wait_for_people_and_keep_its_name(
    imported: Callable[..., list[FileReport]], exported: Callable[..., str], folder: Path
) -> None:
    (folder / "captions.csv").write_text("path,caption\nboats.jpg,Two boats\nold/mill.jpg,A mill\n")
    imported(folder, captioned_by="blip-base 1.2")
    boats, mill, pier = map(json.loads, exported().splitlines())
    assert boats["state"] == mill["state"] == "pending"
    caption = boats["captions"][0]
    assert (caption["origin"], caption["state"]) == ("model", "candidate")
    assert caption["checkpoint"] == "blip-base 1.2"
    assert pier["state"] == "uncaptioned"


KARPATHY = {
    "images": [
        {"filename": "boats.jpg", "split": "train", "imgid": 3, "sentences": [{"raw": "a"}, {"raw": "b"}]},
        {"filepath": "old", "filename": "mill.jpg", "split": "test", "sentences": [{"raw": "c"}]},
    ]
}
COCO = {
    "images": [{"id": 1, "file_name": "boats.jpg"}, {"id": 2, "file_name": "mill.jpg"}],
    "annotations": [
        {"image_id": 1, "caption": "a"},
        {"image_id": 2, "caption": "c"},
        {"image_id": 1, "caption": "b"},
    ],
}
FORMATS = {
    "captions.csv": "path,caption\nboats.jpg,a\nold/mill.jpg,c\nboats.jpg,b\n",
    "metadata.jsonl": '{"file_name": "boats.jpg", "text": ["a", "b"]}\n'
    '{"file_name": "old/mill.jpg", "text": "c"}\n',
    "captions.txt": "image,caption\nboats.jpg,a\nmill.jpg,c\nboats.jpg,b\n",
    "Flickr8k.token.txt": "boats.jpg#0\ta\nboats.jpg#1\tb\nmill.jpg#0\tc\n",
    "dataset.json": json.dumps(KARPATHY),
    "captions_val.json": json.dumps(COCO),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_brings_its_captions(
    name: str, imported: Callable[..., list[FileReport]], exported: Callable[..., str], folder: Path
) -> None:
    (folder / name).write_text(FORMATS[name], encoding="utf-8-sig")
    assert {report.status for report in imported(folder)} == {"imported"}
    assert texts(exported()) == {"boats.jpg": ["a", "b"], "old/mill.jpg": ["c"], "pier.jpg": []}


def test_imagefolder_tables_and_further_columns(
    imported: Callable[..., list[FileReport]], exported: Callable[..., str], folder: Path
) -> None:
    (folder / "metadata.csv").write_text("file_name,caption,year\npier.jpg,The pier,1910\n")
    imported(folder)
    row = json.loads(exported().splitlines()[0])
    assert (row["path"], row["metadata"]["year"], row["captions"][0]["text"]) == (
        "pier.jpg",
        "1910",
        "The pier",
    )


def test_flickr8ks_lists_of_splits_are_no_pictures(
    imported: Callable[..., list[FileReport]], folder: Path
) -> None:
    (folder / "captions.txt").write_text("image,caption\nboats.jpg,a\n")
    (folder / "train.txt").write_text("boats.jpg\n")
    assert {report.status for report in imported(folder)} == {"imported"}


def test_a_text_beside_a_photo_is_its_caption(
    imported: Callable[..., list[FileReport]], exported: Callable[..., str], folder: Path
) -> None:
    (folder / "boats.txt").write_text("Two boats\nat rest\n")
    (folder / "old" / "mill.jpg.txt").write_text("A mill", encoding="utf-8-sig")
    (folder / "pier.txt").write_bytes(b"\xff\xfe\x00")
    (folder / "notes.txt").write_text("no photo is called so")
    reports = {report.path: (report.status, report.detail) for report in imported(folder)}
    assert reports["notes.txt"][0] == "not an image"
    assert reports["pier.txt"][0] == "refused"
    assert "UTF-8" in reports["pier.txt"][1]
    assert texts(exported()) == {
        "boats.jpg": ["Two boats\nat rest"],
        "old/mill.jpg": ["A mill"],
        "pier.jpg": [],
    }


BAD = {
    "no object": ("[1]", "no JSON object"),
    "no json": ("{", "no JSON"),
    "no path": ('{"captions": []}', "must be a path"),
    "upwards": ('{"path": "../boats.jpg"}', "leads out"),
    "absolute": ('{"path": "/etc/boats.jpg"}', "leads out"),
    "drive": ('{"path": "C:\\\\boats.jpg"}', "leads out"),
    "surrogate": ('{"path": "\\ud800.jpg"}', "characters"),
    "no list": ('{"path": "boats.jpg", "captions": "a"}', "must be a list"),
    "number": ('{"path": "boats.jpg", "captions": [7]}', "must be a text"),
    "empty": ('{"path": "boats.jpg", "captions": [" "]}', "is empty"),
    "long": (f'{{"path": "boats.jpg", "captions": ["{"a" * (TEXT_LENGTH + 1)}"]}}', "keep it under"),
    "state": ('{"path": "boats.jpg", "captions": [{"text": "a", "state": "done"}]}', "candidate, accepted"),
    "origin": ('{"path": "boats.jpg", "captions": [{"text": "a", "origin": ["x"]}]}', "must be one of"),
    "version": (
        '{"path": "boats.jpg", "captions": [{"text": "a", "state": "accepted", "version": 0}]}',
        "from 1",
    ),
    "language": ('{"path": "boats.jpg", "captions": [{"text": "a", "language": "German!"}]}', "pt-BR"),
    "id": (f'{{"path": "boats.jpg", "external_id": "{"a" * (NAME_LENGTH + 1)}"}}', "up to"),
    "nan": ('{"path": "boats.jpg", "metadata": {"a": NaN}}', "no JSON"),
    "list": ('{"path": "boats.jpg", "metadata": [1]}', "must be an object"),
    "deep": ("[" * 100_000, "no JSON"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_row_is_named_and_the_others_are_used(case: str, folder: Path) -> None:
    bad, reason = BAD[case]
    good = {"path": "pier.jpg", "captions": ["The pier"]}
    (folder / "captions.jsonl").write_text(f"{json.dumps(good)}\n\n{bad}\n")
    arrival = arriving(folder, staging=folder)
    assert [(report.path, report.status) for report in arrival.left_out] == [
        ("captions.jsonl, line 3", "refused")
    ]
    assert reason in arrival.left_out[0].detail
    assert [file.path for file in arrival.files] == ["pier.jpg", "boats.jpg", "old/mill.jpg"]


def test_captions_of_photos_that_are_not_there_are_reported(folder: Path) -> None:
    (folder / "captions.csv").write_text("path,caption\nlost.jpg,Lost\nboats.jpg,a\nboats.jpg,b,c\n")
    lost, uneven = arriving(folder, staging=folder).left_out
    assert (lost.path, lost.status) == ("lost.jpg", "missing")
    assert "captions.csv, line 2" in lost.detail
    assert (uneven.path, uneven.detail) == (
        "captions.csv, line 4",
        "it has another number of cells than the first line",
    )


def test_a_name_that_two_folders_hold_is_not_guessed(photo: Photo, folder: Path) -> None:
    photo(folder / "new" / "mill.jpg", 9)
    (folder / "captions.txt").write_text("image,caption\nmill.jpg,A mill\n")
    assert [(report.path, report.status) for report in arriving(folder, staging=folder).left_out] == [
        ("mill.jpg", "missing")
    ]


@pytest.mark.parametrize(
    "name", ["captions.csv", "captions.jsonl", "captions.json", "captions.txt", "captions.odt"]
)
def test_a_file_that_is_none_of_the_formats_is_refused(name: str, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(b"boats.jpg\xff,a boat\n")
    with pytest.raises(InvalidInput, match=name):
        arriving(folder, staging=folder, captions=file)


@pytest.mark.parametrize("content", ['{"images": [7]}', "[" * 100_000, '{"images": {}}', "7"])
def test_other_json_among_photos_is_left_alone(content: str, folder: Path) -> None:
    (folder / "camera.json").write_text(content)
    assert "camera.json" in [file.path for file in arriving(folder, staging=folder).files]


def test_an_image_of_karpathys_without_its_keys_is_a_bad_row(folder: Path) -> None:
    images = [*KARPATHY["images"], 7, {"filename": "pier.jpg"}]
    (folder / "dataset.json").write_text(json.dumps({"images": images}))
    left_out = arriving(folder, staging=folder).left_out
    assert [report.path for report in left_out] == ["dataset.json, image 2", "dataset.json, image 3"]
    assert all("Karpathy" in report.detail for report in left_out)


def test_several_files_of_captions_must_be_told_apart(folder: Path) -> None:
    (folder / "captions.csv").write_text("path,caption\nboats.jpg,a\n")
    (folder / "captions.jsonl").write_text('{"path": "boats.jpg", "captions": ["b"]}\n')
    with pytest.raises(InvalidInput, match=r"captions\.jsonl, captions\.csv.*--captions"):
        arriving(folder, staging=folder)
    named = arriving(folder, staging=folder, captions=folder / "captions.csv").files[0]
    assert named.given
    assert [one.text for one in named.given.captions] == ["a"]


def test_the_command_takes_captions_along_and_names_what_is_missing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECAPTION_HOME", str(tmp_path / "home"))
    file = tmp_path / "elsewhere.csv"
    file.write_text("path,caption\nboats.jpg,Two boats\nlost.jpg,Lost\n")
    said = CliRunner().invoke(
        import_command,
        [
            "Harbour",
            str(folder),
            "--captions",
            str(file),
            "--captioned-by",
            "blip 1",
            "--report",
            str(tmp_path / "report.csv"),
        ],
    )
    assert said.exit_code == 1
    assert "lost.jpg: missing: elsewhere.csv, line 3" in said.output
    assert "3 of 3 files are in 'Harbour'" in said.output
    header, *rows = (tmp_path / "report.csv").read_text().splitlines()
    assert header == "path,status,detail,item"
    assert [row.split(",")[:2] for row in rows] == [
        ["boats.jpg", "imported"],
        ["old/mill.jpg", "imported"],
        ["pier.jpg", "imported"],
        ["lost.jpg", "missing"],
    ]
    said = CliRunner().invoke(export_command, ["Harbour", "--format", "jsonl", "--output", str(tmp_path)])
    assert said.exit_code == 0
    boats = json.loads((tmp_path / "captions.jsonl").read_text().splitlines()[0])
    assert (boats["path"], boats["captions"][0]["checkpoint"]) == ("boats.jpg", "blip 1")


@given(st.text(alphabet="'=+-@ \tab", max_size=6))
def test_what_is_guarded_against_formulas_comes_back(cell: str) -> None:
    assert unguarded(guarded(cell)) == cell
    assert not guarded(cell).startswith(("=", "+", "-", "@", "\t"))


def test_a_csv_of_ours_comes_back_with_its_words(
    imported: Callable[..., list[FileReport]], exported: Callable[..., str], folder: Path
) -> None:
    file = folder / "captions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in LOSSLESS))
    imported(folder)
    table, whole = exported(format="csv"), exported()
    file.unlink()
    (folder / "captions.csv").write_text(table, newline="")
    imported(folder, "Copy")
    for mine, theirs in zip(whole.splitlines(), exported("Copy").splitlines(), strict=True):
        row, copy = json.loads(mine), json.loads(theirs)
        assert (row["path"], row["external_id"], row["state"]) == (
            copy["path"],
            copy["external_id"],
            copy["state"],
        )
        for caption, other in zip(row["captions"], copy["captions"], strict=True):
            for name in ("text", "state", "origin", "language", "kind"):
                assert caption[name] == other[name]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_thousand_files_of_which_twenty_are_equal_stay_a_thousand_rows(
    imported: Callable[..., list[FileReport]],
    exported: Callable[..., str],
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Nothing here depends on surviving a power cut, and waiting for the disk takes most of the time.
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    folder, table = tmp_path / "photos", ["path,caption,external_id"]
    for number in range(1000):
        (folder / str(number // 100)).mkdir(parents=True, exist_ok=True)
        # The last twenty are the same.
        red, green = divmod(min(number, 980), 256)
        Image.new("RGB", (2, 1), (red, green, 0)).save(folder / f"{number // 100}/{number:04}.png")
        table.append(f"{number // 100}/{number:04}.png,{'A boat.' if number % 2 else ''},INV-{number}")
    (folder / "captions.csv").write_text("\n".join(table))
    reports = imported(folder)
    assert Counter(report.status for report in reports) == {"imported": 981, "duplicate": 19}
    with database.reading() as session:
        (group,) = near_duplicates.every(session, collections.by_name(session, "Harbour"))
    assert [twin.identical for twin in group.twins] == [True] * 20
    expected = [(f"{number // 100}/{number:04}.png", f"INV-{number}") for number in range(1000)]
    rows = [json.loads(line) for line in exported().splitlines()]
    assert [(row["path"], row["external_id"]) for row in rows] == expected
    assert len({row["sha256"] for row in rows}) == 981
    cells = list(csv.DictReader(io.StringIO(exported(format="csv"), newline="")))
    assert [(row["path"], row["external_id"]) for row in cells] == expected
