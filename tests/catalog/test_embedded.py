"""Captions, metadata and rights that picture files and their XMP sidecars bring along."""

import json
import zipfile
from collections.abc import Callable
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import hypothesis
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage
from sqlalchemy import select

from catalog import captions, collections, exports, item_lists, items, jobs
from catalog.blobs import BlobStore
from catalog.commands import import_command
from catalog.database import Database
from catalog.imports.arrivals import arriving
from catalog.imports.embedded import given_by_itself
from catalog.ingest import FileReport, ingest
from catalog.schema import Caption, CaptionKind, CaptionState, Checkpoint, Item, Origin, ReviewState
from pictures.intake import measure
from pictures.sandbox import DecodingProcess
from tests.pictures.blocks import alt, xmp

PROHIBITED = "<plus:DataMining>http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED-AIMLTRAINING</plus:DataMining>"
ALLOWED = "<plus:DataMining>http://ns.useplus.org/ldf/vocab/DMI-ALLOWED</plus:DataMining>"

# Whatever XML may hold.
TEXT = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"), max_size=200
)

Run = Callable[..., list[FileReport]]


def jpeg(path: Path, shade: int, packet: bytes = b"", description: str = "") -> Path:
    """A flat photo with an XMP packet and an EXIF description."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = PillowImage.Exif()
    if description:
        exif[270] = description
    PillowImage.new("RGB", (32, 24), (shade, 90, 30)).save(path, "JPEG", xmp=packet, exif=exif)
    return path


@pytest.fixture
def imported(database: Database, blobs: BlobStore, decoder: DecodingProcess) -> Run:
    """A function that imports a folder or zip into a collection."""

    def run(source: Path, collection: str = "Harbour") -> list[FileReport]:
        with database.writing() as session:
            held = [summary.collection for summary in collections.summaries(session, viewer=None).rows]
            found = next((one for one in held if one.name == collection), None)
            found = found or collections.create(session, name=collection, owner=None)
        arrival = arriving(source, staging=blobs.folder / "staging")
        return [*arrival.left_out, *ingest(database, blobs, decoder, found.id, arrival.files)]

    return run


@pytest.fixture
def rows(database: Database) -> Callable[..., dict[str, dict[str, Any]]]:
    """A function that tells what a collection holds, as JSONL has it, by path."""

    def exported(collection: str = "Harbour") -> dict[str, dict[str, Any]]:
        stream = StringIO()
        with database.reading() as session:
            exports.write_export(session, collections.by_name(session, collection), "jsonl", stream)
        return {row["path"]: row for row in map(json.loads, stream.getvalue().splitlines())}

    return exported


def told(row: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(caption["text"], caption["language"], caption["kind"]) for caption in row["captions"]]


def test_what_a_picture_says_becomes_captions_of_people_and_metadata(
    imported: Run, rows: Callable[..., dict[str, Any]], database: Database, tmp_path: Path
) -> None:
    body = (
        alt("dc:description", x_default="Die Mühle", de="Die Mühle", en="The mill")
        + alt("Iptc4xmpCore:AltTextAccessibility", en="A mill by the sea")
        + alt("dc:rights", x_default="(c) Museum")
        + alt("dc:title", x_default="Mill")
    )
    jpeg(tmp_path / "in" / "mill.jpg", 1, xmp(body), "SONY DSC")
    (report,) = imported(tmp_path / "in")
    assert (report.status, report.detail) == ("imported", "3 captions came along")
    row = rows()["mill.jpg"]
    assert told(row) == [
        ("Die Mühle", "de", "description"),
        ("The mill", "en", "description"),
        ("A mill by the sea", "en", "alt"),
    ]
    assert {(one["origin"], one["state"]) for one in row["captions"]} == {("imported", "accepted")}
    assert (row["rights"], row["metadata"]) == ("(c) Museum", {"title": "Mill", "copyright": "(c) Museum"})
    assert row["state"] == "uncaptioned"


def test_importing_again_brings_nothing_twice_nor_back(
    imported: Run, rows: Callable[..., dict[str, Any]], database: Database, tmp_path: Path
) -> None:
    jpeg(tmp_path / "in" / "mill.jpg", 1, xmp(alt("dc:description", en="The mil", de="Die Mühle")))
    imported(tmp_path / "in")
    assert [report.status for report in imported(tmp_path / "in")] == ["already here"]
    with database.writing() as session:
        caption = session.scalars(select(Caption).where(Caption.text == "The mil")).one()
        captions.revise(session, caption, version=1, user=None, text="The mill")
    (report,) = imported(tmp_path / "in")
    assert report.detail == "imported before"
    assert told(rows()["mill.jpg"]) == [("The mill", "en", "description"), ("Die Mühle", "de", "description")]


def test_a_file_of_captions_wins_over_the_same_text_in_the_picture(
    imported: Run, rows: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    jpeg(tmp_path / "in" / "mill.jpg", 1, xmp(alt("dc:rights", en="theirs")), "The mill")
    given = {
        "path": "mill.jpg",
        "captions": ["The mill"],
        "rights": "ours",
        "metadata": {"copyright": "ours"},
    }
    (tmp_path / "in" / "captions.jsonl").write_text(json.dumps(given))
    imported(tmp_path / "in")
    row = rows()["mill.jpg"]
    assert told(row) == [("The mill", "en", "caption")]
    assert (row["rights"], row["metadata"]["copyright"]) == ("ours", "ours")


def test_sidecars_win_and_are_no_pictures_themselves(
    imported: Run, rows: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    inside = xmp(alt("dc:description", en="inside") + alt("dc:title", en="title"))
    for number, name in enumerate(("a.jpg", "b.jpg", "old/c.jpg", "d.jpg")):
        jpeg(folder / name, number * 40, inside)
    (folder / "a.jpg.xmp").write_bytes(xmp(alt("dc:description", en="beside a.jpg")))
    (folder / "a.xmp").write_bytes(xmp(alt("dc:description", en="beside any a")))
    (folder / "b.XMP").write_bytes(xmp(alt("dc:description", en="beside any b")))
    (folder / "old" / "c.xmp").write_bytes(xmp(PROHIBITED))
    (folder / "nobody.xmp").write_bytes(xmp(""))
    statuses = {report.path: report.status for report in imported(folder)}
    assert statuses.pop("nobody.xmp") == "missing"
    assert statuses.pop("a.xmp") == "missing"
    assert statuses == dict.fromkeys(("a.jpg", "b.jpg", "old/c.jpg", "d.jpg"), "imported")
    found = rows()
    assert [found[name]["captions"][0]["text"] for name in ("a.jpg", "b.jpg", "old/c.jpg", "d.jpg")] == [
        "beside a.jpg",
        "beside any b",
        "inside",
        "inside",
    ]
    assert found["b.jpg"]["metadata"] == {"title": "title"}
    assert [found[name]["training_prohibited"] for name in found] == [False, False, False, True]


@pytest.mark.parametrize(
    "content",
    [
        b"<a>" * 100_000,
        b'<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><x>&c;</x>',
        b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>',
        b"<a>" + b" " * 50_000_000,
        b"",
    ],
    ids=["deep", "entities", "external", "50 MB", "empty"],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_hostile_sidecar_is_refused_and_its_picture_imported(
    content: bytes, packed: bool, imported: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    jpeg(folder / "a.jpg", 1)
    (folder / "a.xmp").write_bytes(content)
    source = folder
    if packed:
        source = tmp_path / "in.zip"
        with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as target:
            for file in folder.iterdir():
                target.write(file, file.name)
    reports = imported(source)
    assert [(report.path, report.status) for report in reports] == [
        ("a.jpg", "imported"),
        ("a.xmp", "refused"),
    ]
    assert reports[1].detail.startswith("a.xmp ")


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@hypothesis.given(texts=st.lists(TEXT, min_size=6, max_size=6), repeated=st.integers(1, 3000))
def test_any_text_in_a_file_can_be_kept(texts: list[str], repeated: int, tmp_path: Path) -> None:
    names = ("dc:description", "dc:rights", "dc:title", "Iptc4xmpCore:AltTextAccessibility", "photoshop:City")
    written = [escape(text * repeated)[:20_000].rpartition("&")[0] or escape(text) for text in texts]
    body = "".join(f"<{name}>{text}</{name}>" for name, text in zip(names, written, strict=False))
    body += f"<dc:subject><rdf:Bag>{f'<rdf:li>{written[5]}</rdf:li>' * 3}</rdf:Bag></dc:subject>"
    beside = tmp_path / "a.xmp"
    beside.write_bytes(xmp(body.encode("utf-8", "replace").decode()))
    measured = measure(jpeg(tmp_path / "a.jpg", 1), sidecar=beside)
    assert measured.sidecar_error is None
    found = given_by_itself(measured)
    assert all(one.text.strip() for one in found.captions)
    json.dumps(found.metadata)


def test_a_zip_brings_its_sidecars(
    imported: Run, rows: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    photo = jpeg(tmp_path / "a.jpg", 1).read_bytes()
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as target:
        target.writestr("box/a.jpg", photo)
        target.writestr("box/a.jpg.xmp", xmp(alt("dc:description", de="Boote") + PROHIBITED))
    assert [report.status for report in imported(tmp_path / "in.zip")] == ["imported"]
    row = rows()["a.jpg"]
    assert told(row) == [("Boote", "de", "description")]
    assert row["training_prohibited"] is True


def test_a_damaged_sidecar_in_a_zip_loses_no_picture(imported: Run, tmp_path: Path) -> None:
    photo = jpeg(tmp_path / "a.jpg", 1).read_bytes()
    file = tmp_path / "in.zip"
    with zipfile.ZipFile(file, "w") as target:
        target.writestr("a.jpg", photo)
        target.writestr("a.xmp", b"<x>" + b"y" * 500 + b"</x>")
    file.write_bytes(file.read_bytes().replace(b"y" * 300, b"z" * 300, 1))
    assert {report.path: report.status for report in imported(file)} == {
        "a.jpg": "imported",
        "a.xmp": "refused",
    }


def test_prohibited_training_travels_through_jsonl_and_back(
    imported: Run, rows: Callable[..., dict[str, Any]], database: Database, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    jpeg(folder / "no.jpg", 1, xmp(PROHIBITED + alt("dc:description", en="A pier")))
    jpeg(folder / "yes.jpg", 2, xmp(ALLOWED))
    jpeg(folder / "silent.jpg", 3)
    imported(folder)
    first = rows()
    assert {path: row["training_prohibited"] for path, row in first.items()} == {
        "no.jpg": True,
        "silent.jpg": False,
        "yes.jpg": False,
    }
    lines = [json.dumps(row) for row in first.values()]
    (folder / "captions.jsonl").write_text("\n".join(lines))
    imported(folder, "Copy")
    assert list(rows("Copy").values()) == list(first.values())
    # The mark stays when the photo comes back without its metadata.
    bare = tmp_path / "bare"
    jpeg(bare / "no.jpg", 1)
    (bare / "captions.jsonl").write_text(lines[0])
    imported(bare, "Bare")
    assert rows("Bare")["no.jpg"]["training_prohibited"] is True


def test_only_what_may_be_trained_on_is_offered_to_datasets(
    imported: Run, database: Database, tmp_path: Path
) -> None:
    jpeg(tmp_path / "in" / "no.jpg", 1, xmp(PROHIBITED))
    jpeg(tmp_path / "in" / "yes.jpg", 2, xmp(ALLOWED))
    jpeg(tmp_path / "in" / "silent.jpg", 3)
    imported(tmp_path / "in")
    with database.reading() as session:
        found = session.scalars(select(Item.path).where(items.may_train()).order_by(Item.path)).all()
    assert found == ["silent.jpg", "yes.jpg"]


def test_a_job_fills_in_captions_where_archives_brought_descriptions(
    imported: Run, database: Database, tmp_path: Path
) -> None:
    body = alt("dc:description", en="The mill") + alt("Iptc4xmpCore:AltTextAccessibility", en="A mill")
    jpeg(tmp_path / "in" / "mill.jpg", 1, xmp(body))
    imported(tmp_path / "in")
    with database.writing() as session:
        collection = collections.by_name(session, "Harbour")
        checkpoint = Checkpoint(
            name="starter", weights_sha256="0" * 64, description_sha256="1" * 64, description={}
        )
        session.add(checkpoint)
        session.flush()
        for mode in jobs.MODES:
            job = jobs.create_caption_job(session, collection, checkpoint=checkpoint, user=None, mode=mode)
            assert job.total == 1, mode


def test_the_review_state_speaks_of_captions_and_of_whatever_waits(
    imported: Run, database: Database, tmp_path: Path
) -> None:
    jpeg(tmp_path / "in" / "mill.jpg", 1, xmp(alt("dc:description", en="The mill")))
    imported(tmp_path / "in")
    with database.writing() as session:
        item = session.scalars(select(Item)).one()
        assert item.review_state is ReviewState.UNCAPTIONED
        description = session.scalars(select(Caption)).one()
        shown = item_lists.leading_captions(session, [item.id])
        assert shown[item.id] is description
        made = Caption(item_id=item.id, text="A mill.", origin=Origin.MODEL)
        session.add(made)
        session.flush()
        captions.refresh_review_state(session, [item.id])
        session.refresh(item)
        assert item.review_state is ReviewState.PENDING
        assert item_lists.leading_captions(session, [item.id])[item.id] is made
        assert [one.caption for one in captions.of_item(session, item)] == [made, description]
        captions.revise(session, made, version=1, user=None, state=CaptionState.REJECTED)
        assert item.review_state is ReviewState.REJECTED
        captions.write(
            session, item, text="Mill", user=None, kind=CaptionKind.ALT, state=CaptionState.CANDIDATE
        )
        assert item.review_state is ReviewState.PENDING


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF", "JPEG2000", "HEIF"])
def test_every_format_is_imported_by_the_command(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    buffer = BytesIO()
    PillowImage.linear_gradient("L").resize((64, 48)).convert("RGB").save(buffer, name)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "photo").write_bytes(buffer.getvalue())
    monkeypatch.setenv("RECAPTION_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("RECAPTION_DATABASE_URL", raising=False)
    result = CliRunner().invoke(import_command, ["Harbour", str(tmp_path / "in")])
    assert (result.exit_code, result.output) == (0, "1 of 1 files are in 'Harbour'\n")
