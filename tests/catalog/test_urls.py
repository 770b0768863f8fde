"""Lists of URLs: told from files of captions, fetched one by one, and reported row by row."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from catalog import collections
from catalog.blobs import BlobStore
from catalog.commands import import_command
from catalog.database import Database
from catalog.errors import InvalidInput
from catalog.imports.arrivals import arriving
from catalog.imports.fetching import Fetcher
from catalog.imports.urls import is_list
from catalog.ingest import FileReport, ingest
from catalog.schema import Caption, Item
from pictures.sandbox import DecodingProcess
from tests.catalog.web_server import Server, sends

Photo = Callable[..., Path]
Imported = Callable[..., list[FileReport]]


@pytest.fixture
def fetcher(server: Server) -> Fetcher:
    """One that finds every host on `server`, and takes its address for a public one."""
    return Fetcher(
        ["*.example"],
        resolve=lambda host, seconds: ["127.0.0.1"],
        permitted=lambda address: True,
        ports=[server.port],
        max_bytes=1 << 20,
        seconds=5.0,
    )


@pytest.fixture
def imported(
    database: Database, blobs: BlobStore, decoder: DecodingProcess, fetcher: Fetcher, tmp_path: Path
) -> Imported:
    """A function that imports a list into one collection."""

    def run(file: Path) -> list[FileReport]:
        with database.writing() as session:
            held = collections.summaries(session, viewer=None).rows
            found = held[0].collection if held else collections.create(session, name="Harbour", owner=None)
        arrival = arriving(file, staging=tmp_path / "staging", fetcher=fetcher)
        return [*arrival.left_out, *ingest(database, blobs, decoder, found.id, arrival.files)]

    return run


@pytest.fixture
def url(server: Server, photo: Photo, tmp_path: Path) -> str:
    """Where the server has a.jpg and b.jpg, a text, something large, and a page that is no photo."""
    for number, name in enumerate(("a.jpg", "b.jpg")):
        server.answers[f"/{name}"] = sends(photo(tmp_path / "served" / name, number).read_bytes())
    server.answers["/gone.jpg"] = sends(b"", 404)
    server.answers["/large.tif"] = sends(bytes(2 << 20))
    server.answers["/page"] = sends(b"<html>", Content_Type="image/jpeg")
    return f"http://photos.example:{server.port}"


def written(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def the_items(database: Database) -> list[Item]:
    with database.reading() as session:
        return list(session.scalars(select(Item).order_by(Item.position)))


def test_lines_of_urls_are_fetched_and_each_that_fails_is_named(
    imported: Imported, database: Database, server: Server, url: str, tmp_path: Path
) -> None:
    names = ("a.jpg?key=secret", "gone.jpg", "large.tif", "page", "b.jpg")
    lines = ["# the harbour", "", *(f"{url}/{name}" for name in names), "http://evil.test/x.jpg", "nonsense"]
    reports = imported(written(tmp_path / "list.txt", *lines))
    assert {report.path: report.status for report in reports} == {
        "list.txt, line 8": "refused",
        "list.txt, line 9": "refused",
        "a.jpg": "imported",
        "gone.jpg": "not fetched",
        "large.tif": "too large",
        "page": "not an image",
        "b.jpg": "imported",
    }
    details = {report.path: report.detail for report in reports}
    assert details["gone.jpg"] == "list.txt, line 4: photos.example answered with status 404"
    assert "evil.test is not among the hosts in RECAPTION_URL_IMPORTS" in details["list.txt, line 8"]
    assert "must begin with http" in details["list.txt, line 9"]
    assert not any("secret" in f"{report.path} {report.detail}" for report in reports)
    assert ("/a.jpg?key=secret", f"photos.example:{server.port}") in server.asked
    assert [(item.path, item.details["source_url"]) for item in the_items(database)] == [
        ("a.jpg", f"{url}/a.jpg"),
        ("b.jpg", f"{url}/b.jpg"),
    ]
    assert list((tmp_path / "staging").iterdir()) == []


def test_a_table_says_what_photos_are_called_and_what_they_show(
    imported: Imported, database: Database, server: Server, url: str, tmp_path: Path
) -> None:
    table = written(
        tmp_path / "photos.csv",
        "url,path,external_id,caption,language",
        f"{url}/a.jpg,pier/one.jpg,INV-1,Two boats,en",
        f"{url}/a.jpg,pier/one.jpg,INV-1,Zwei Boote,de",
        f"{url}/b.jpg,,INV-2,,",
        f"{url}/b.jpg,../up.jpg,INV-3,,",
    )
    reports = imported(table)
    assert [(report.path, report.status) for report in reports] == [
        ("photos.csv, line 5", "refused"),
        ("pier/one.jpg", "imported"),
        ("b.jpg", "imported"),
    ]
    assert len(server.asked) == 2, "a photo of two rows is fetched once"
    assert [(item.path, item.external_id) for item in the_items(database)] == [
        ("pier/one.jpg", "INV-1"),
        ("b.jpg", "INV-2"),
    ]
    with database.reading() as session:
        texts = session.execute(select(Caption.language, Caption.text).order_by(Caption.id)).all()
    assert [tuple(one) for one in texts] == [("en", "Two boats"), ("de", "Zwei Boote")]


def test_objects_may_say_all_that_our_own_format_says(
    imported: Imported, database: Database, url: str, tmp_path: Path
) -> None:
    rows = [
        {"url": f"{url}/a.jpg", "rights": "Harbour Museum", "metadata": {"box": 7}, "caption": "Boats"},
        {"url": f"{url}/b.jpg", "captions": [{"text": "Ein Pier.", "language": "de", "kind": "alt"}]},
        {"url": 7},
    ]
    reports = imported(written(tmp_path / "list.jsonl", *map(json.dumps, rows), "{"))
    assert [report.status for report in reports] == ["refused", "refused", "imported", "imported"]
    first = the_items(database)[0]
    assert (first.rights, first.details["box"]) == ("Harbour Museum", 7)
    with database.reading() as session:
        assert session.scalars(select(Caption.text).order_by(Caption.id)).all() == ["Boats", "Ein Pier."]


def test_two_photos_of_one_name_are_two_items_with_their_own_captions(
    imported: Imported, database: Database, server: Server, url: str, tmp_path: Path
) -> None:
    server.answers["/other/a.jpg"] = server.answers["/b.jpg"]
    imported(written(tmp_path / "l.csv", "url,caption", f"{url}/a.jpg,One", f"{url}/other/a.jpg,Other"))
    with database.reading() as session:
        found = session.execute(
            select(Item.path, Caption.text).join(Caption, Caption.item_id == Item.id).order_by(Item.id)
        ).all()
    assert [tuple(one) for one in found] == [("a.jpg", "One"), ("a.jpg", "Other")]


def test_a_list_again_adds_nothing(imported: Imported, database: Database, url: str, tmp_path: Path) -> None:
    file = written(tmp_path / "list.txt", f"{url}/a.jpg", f"{url}/b.jpg")
    imported(file)
    assert [report.status for report in imported(file)] == ["already here"] * 2
    assert len(the_items(database)) == 2


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("list.txt", "\ufeff\n# x\nHTTPS://photos.example/a.jpg\n", True),
        ("list.txt", "A pier at dusk.\nhttp://photos.example/a.jpg\n", False),
        ("captions.txt", "image,caption\na.jpg,A pier\n", False),
        ("list.csv", '"url","caption"\n', True),
        ("captions.csv", "path,caption\na.jpg,http://photos.example\n", False),
        ("list.jsonl", '{"url": "http://photos.example/a.jpg"}\n', True),
        ("captions.jsonl", '{"path": "a.jpg", "metadata": {"url": "x"}}\n', False),
        ("list.txt", "", False),
        ("photo.jpg", "http://photos.example/a.jpg\n", False),
    ],
)
def test_a_list_is_told_from_other_files_by_what_it_says(
    name: str, content: str, expected: bool, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert is_list(tmp_path / name) is expected


def test_lists_cannot_be_referenced_nor_take_other_captions(fetcher: Fetcher, tmp_path: Path) -> None:
    file = written(tmp_path / "list.txt", "http://photos.example/a.jpg")
    for options in ({"reference": True}, {"captions": file}):
        with pytest.raises(InvalidInput, match="lists URLs: its photos are fetched and stored"):
            arriving(file, staging=tmp_path, fetcher=fetcher, **options)  # type: ignore[arg-type]


def test_the_command_asks_nobody_unless_the_setting_says_so(
    server: Server, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECAPTION_HOME", str(tmp_path / "home"))
    file = written(tmp_path / "list.txt", f"http://localhost:{server.port}/a.jpg", "http://127.0.0.1/a.jpg")
    off = CliRunner().invoke(import_command, ["Harbour", str(file)])
    assert isinstance(off.exception, InvalidInput)
    assert "set RECAPTION_URL_IMPORTS to the hosts" in str(off.exception)
    monkeypatch.setenv("RECAPTION_URL_IMPORTS", "on")
    on = CliRunner().invoke(import_command, ["Harbour", str(file)])
    assert on.exit_code == 1
    assert f"port {server.port} of localhost is none of 80, 443" in on.output
    assert "127.0.0.1 has the address 127.0.0.1, which is not a public one" in on.output
    assert "0 of 1 files are in 'Harbour'" in on.output
    assert server.asked == []
