"""Captions written beside originals that were left where they are, and read again by our own import."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image as Picture

from catalog import collections
from catalog.database import Database
from catalog.schema import Caption, CaptionKind, CaptionState, Collection, Image, Item, Origin
from catalog.write_back import Planned, Refused, plan, write
from catalog.write_back_command import write_back_command
from pictures.description import describe
from pictures.xmp import properties_of
from tests.disks import fill_up

FOREIGN = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="A darkroom">
 <r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <r:Description r:about="" xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/" crs:Exposure2012="+0.35"
    xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" photoshop:Instructions="Two lines&#10;of them"/>
  <!-- a comment -->
  <r:Description r:about="" xmlns:d="http://purl.org/dc/elements/1.1/">
   <d:description><r:Alt>
    <r:li xml:lang="x-default">Old.</r:li><r:li xml:lang="de">Alt.</r:li>
   </r:Alt></d:description>
   <d:subject><r:Bag><r:li>harbour &amp; sea</r:li></r:Bag></d:subject>
  </r:Description>
 </r:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""

Beside = Callable[..., Path]
Done = Callable[..., list[Planned | Refused]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "photos"


@pytest.fixture
def beside(database: Database) -> Beside:
    """A function that adds a photo left where it is; a caption is a text, a kind and a language."""

    def add(path: Path, *captions: tuple[str, str, str], state: CaptionState = CaptionState.ACCEPTED) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Picture.new("RGB", (48, 32), (len(captions) * 40, 90, 120)).save(
            path, "TIFF" if path.suffix == ".tif" else "JPEG"
        )
        with database.writing() as session:
            collection = session.get(Collection, 1) or collections.create(session, name="Harbour", owner=None)
            sha256 = f"{abs(hash(path)):064}"
            image = Image(
                sha256=sha256,
                rendition=sha256,
                format="JPEG",
                bytes=path.stat().st_size,
                width=48,
                height=32,
                stored=False,
            )
            session.add(image)
            session.flush()
            item = Item(
                collection_id=collection.id,
                image_id=image.id,
                path=path.name,
                position=1,
                reference=str(path),
            )
            session.add(item)
            session.flush()
            for text, kind, language in captions:
                session.add(
                    Caption(
                        item_id=item.id,
                        text=text,
                        kind=CaptionKind(kind),
                        language=language,
                        state=state,
                        origin=Origin.WRITTEN,
                    )
                )
        return path

    return add


@pytest.fixture
def planned(database: Database) -> Done:
    """A function that plans, and writes where it is told to."""

    def run(format: str, *, writes: bool = True) -> list[Planned | Refused]:
        with database.reading() as session:
            found = list(plan(session, session.get_one(Collection, 1), format=format))
        for one in found:
            if writes and isinstance(one, Planned) and one.changes:
                write(one)
        return found

    return run


@pytest.fixture
def command(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("RECAPTION_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RECAPTION_DATABASE_URL", database.url.render_as_string(hide_password=False))

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(write_back_command, ["Harbour", *arguments])

    return run


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_text_holds_the_captions_one_a_line_and_nothing_else(
    folder: Path, beside: Beside, planned: Done
) -> None:
    beside(
        folder / "pier.jpg",
        ("A pier.", "caption", "en"),
        ("A long\npier.", "caption", "en"),
        ("Pier", "alt", "en"),
    )
    beside(folder / "mill.jpg", ("A mill.", "alt", "en"))
    planned("txt")
    assert (folder / "pier.txt").read_text() == "A pier.\nA long pier.\n"
    assert names(folder) == ["mill.jpg", "pier.jpg", "pier.txt"]


def test_our_own_import_reads_a_sidecar_back(folder: Path, beside: Beside, planned: Done) -> None:
    texts = [
        ("A pier & a <boat>.", "caption", "en"),
        ("Ein Steg.", "caption", "de"),
        ("Steg", "alt", "de"),
        ("A pier in 1923.\nRain.", "description", "en"),
    ]
    photo = beside(folder / "pier.jpg", *texts)
    planned("xmp")
    read = describe(photo, sidecar=folder / "pier.xmp")
    assert read.sidecar_error is None
    assert [(one.text, one.language, one.kind) for one in read.captions] == [
        ("A pier & a <boat>.", "en", "description"),
        ("Ein Steg.", "de", "description"),
        ("A pier in 1923.\nRain.", "en", "description"),
        ("Steg", "de", "alt"),
    ]


def test_the_fields_of_others_stay_as_they_are(folder: Path, beside: Beside, planned: Done) -> None:
    beside(folder / "pier.jpg", ("A pier.", "caption", "en"))
    sidecar = folder / "pier.xmp"
    sidecar.write_text(FOREIGN, encoding="utf-8")
    planned("xmp")
    made = sidecar.read_text(encoding="utf-8")
    assert {
        name: [value.text for value in values] for name, values in properties_of(made.encode()).items()
    } == {
        "photoshop:Instructions": ["Two lines\nof them"],
        "dc:subject": ["harbour & sea"],
        "dc:description": ["A pier.", "A pier.", "Alt."],
    }
    for foreign in (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>',
        '<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="A darkroom">',
        'crs:Exposure2012="+0.35"',
        'photoshop:Instructions="Two lines&#10;of them"',
        "<!-- a comment -->",
        "<d:subject><r:Bag><r:li>harbour &amp; sea</r:li></r:Bag></d:subject>",
        '<?xpacket end="w"?>',
    ):
        assert foreign in made
    assert (folder / "pier.xmp.~1~").read_text(encoding="utf-8") == FOREIGN


def test_nothing_says_how_the_picture_was_made(folder: Path, beside: Beside, planned: Done) -> None:
    beside(folder / "pier.jpg", ("A pier.", "caption", "en"))
    planned("xmp")
    made = (folder / "pier.xmp").read_text()
    assert set(properties_of(made.encode())) == {"dc:description"}
    assert not any(word in made for word in ("DigitalSourceType", "AISystem", "CreatorTool", "algorithmic"))


def test_what_says_it_already_is_not_touched_and_nothing_kept_is_overwritten(
    folder: Path, beside: Beside, planned: Done, database: Database
) -> None:
    beside(folder / "pier.jpg", ("A pier.", "caption", "en"), ("Pier", "alt", "de"))
    for format in ("txt", "xmp"):
        sidecar = folder / f"pier.{format}"
        sidecar.write_text("An older text.\n" if format == "txt" else FOREIGN)
        (folder / f"pier.{format}.~1~").write_text("Older still.")
        planned(format)
        before = sidecar.stat()
        (again,) = planned(format)
        assert isinstance(again, Planned)
        assert not again.changes
        assert sidecar.stat().st_mtime_ns == before.st_mtime_ns
        assert (folder / f"pier.{format}.~1~").read_text() == "Older still."
    assert (folder / "pier.txt.~2~").read_text() == "An older text.\n"
    assert names(folder) == [
        "pier.jpg",
        *(f"pier.{format}{end}" for format in ("txt", "xmp") for end in ("", ".~1~", ".~2~")),
    ]


def test_photos_that_share_a_name_get_a_sidecar_each(folder: Path, beside: Beside, planned: Done) -> None:
    beside(folder / "pier.jpg", ("A pier.", "caption", "en"))
    beside(folder / "pier.tif", ("A scan.", "caption", "en"))
    beside(folder / "mill.jpg", ("A mill.", "caption", "en"))
    (folder / "mill.jpg.txt").write_text("An old mill.")
    planned("txt")
    texts = {path.name: path.read_text() for path in folder.glob("*.txt")}
    assert texts == {"pier.jpg.txt": "A pier.\n", "pier.tif.txt": "A scan.\n", "mill.jpg.txt": "A mill.\n"}


def test_a_dry_run_shows_every_change_and_writes_nothing(
    folder: Path, beside: Beside, command: Callable[..., Result]
) -> None:
    beside(folder / "mill.jpg", ("A mill.", "caption", "en"))
    beside(folder / "pier.jpg", ("A pier.", "caption", "en"))
    beside(folder / "same.jpg", ("The same.", "caption", "en"))
    (folder / "pier.txt").write_text("An old pier.\n")
    (folder / "same.txt").write_text("The same.\n")
    was = names(folder)
    shown = command("--dry-run")
    assert shown.exit_code == 0
    assert f"--- /dev/null\n+++ {folder}/mill.txt\n@@ -0,0 +1 @@\n+A mill.\n" in shown.stdout
    assert (
        f"--- {folder}/pier.txt\n+++ {folder}/pier.txt\n@@ -1 +1 @@\n-An old pier.\n+A pier.\n"
        in shown.stdout
    )
    assert shown.stdout.endswith("2 would be written, 1 unchanged, 0 refused\n")
    assert names(folder) == was
    assert (folder / "pier.txt").read_text() == "An old pier.\n"
    assert command().stdout.endswith("2 written, 1 unchanged, 0 refused\n")


def test_what_is_refused_is_named_and_the_others_go_on(
    folder: Path, beside: Beside, command: Callable[..., Result], tmp_path: Path
) -> None:
    for name in ("gone", "changed", "linked", "broken", "good"):
        beside(folder / f"{name}.jpg", ("A pier.", "caption", "en"))
    (folder / "gone.jpg").unlink()
    (folder / "changed.jpg").write_bytes(b"another picture")
    (tmp_path / "elsewhere.xmp").write_text(FOREIGN)
    (folder / "linked.xmp").symlink_to(tmp_path / "elsewhere.xmp")
    (folder / "broken.xmp").write_text("<x:xmpmeta>")
    told = command("--format", "xmp")
    assert told.exit_code == 1
    assert told.stdout.endswith("1 written, 0 unchanged, 4 refused\n")
    for why in (
        "gone.jpg: is no longer there",
        "changed.jpg: has changed",
        "linked.jpg: linked.xmp beside it is a link",
        "broken.jpg: broken.xmp beside it is no XML",
    ):
        assert why in told.stderr
    assert (folder / "good.xmp").exists()
    assert (tmp_path / "elsewhere.xmp").read_text() == FOREIGN
    assert (folder / "broken.xmp").read_text() == "<x:xmpmeta>"


def test_only_what_was_accepted_is_written_unless_candidates_are_asked_for(
    folder: Path, beside: Beside, command: Callable[..., Result]
) -> None:
    beside(folder / "pier.jpg", ("A pier.", "caption", "en"), state=CaptionState.CANDIDATE)
    beside(folder / "mill.jpg", ("A mill.", "caption", "en"), state=CaptionState.REJECTED)
    assert command().stdout == "0 written, 0 unchanged, 0 refused\n"
    command("--state", "candidate")
    assert names(folder) == ["mill.jpg", "pier.jpg", "pier.txt"]


def test_a_full_disk_leaves_what_was_there(
    small_disk: Path, folder: Path, beside: Beside, command: Callable[..., Result]
) -> None:
    beside(small_disk / "pier.jpg", ("A pier.\n" * 1000, "caption", "en"))
    beside(folder / "mill.jpg", ("A mill.", "caption", "en"))
    (small_disk / "pier.txt").write_text("An old pier.\n")
    was = names(small_disk)
    filler = fill_up(small_disk)
    told = command()
    assert told.exit_code == 1
    assert "pier.txt: cannot be written: No space left on device" in told.stderr
    assert (folder / "mill.txt").exists()
    filler.unlink()
    assert names(small_disk) == was
    assert (small_disk / "pier.txt").read_text() == "An old pier.\n"


def test_a_folder_that_is_read_only_is_named(
    small_disk: Path, beside: Beside, command: Callable[..., Result]
) -> None:
    beside(small_disk / "pier.jpg", ("A pier.", "caption", "en"))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    told = command()
    assert told.exit_code == 1
    assert "pier.txt: cannot be written: Read-only file system" in told.stderr


def test_a_new_file_is_as_readable_as_its_photo(folder: Path, beside: Beside, planned: Done) -> None:
    photo = beside(folder / "pier.jpg", ("A pier.", "caption", "en"))
    photo.chmod(0o754)
    planned("txt")
    assert os.stat(folder / "pier.txt").st_mode & 0o777 == 0o644


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="there is no exiftool")
def test_exiftool_reads_what_was_written(folder: Path, beside: Beside, planned: Done) -> None:
    beside(
        folder / "pier.jpg",
        ("A pier.", "caption", "en"),
        ("Ein Steg.", "caption", "de"),
        ("Pier", "alt", "en"),
        ("Long.", "description", "en"),
    )
    (folder / "pier.xmp").write_text(FOREIGN, encoding="utf-8")
    planned("xmp")
    tags = [
        "-XMP-dc:Description",
        "-XMP-dc:Description-de",
        "-AltTextAccessibility",
        "-ExtDescrAccessibility",
        "-Exposure2012",
        "-XMP-dc:Subject",
    ]
    told = subprocess.run(
        ["exiftool", "-s3", "-validate", "-warning", *tags, str(folder / "pier.xmp")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.splitlines() == [
        "OK",
        "A pier.",
        "Ein Steg.",
        "Pier",
        "Long.",
        "+0.35",
        "harbour & sea",
    ]
