"""What archives take from a dataset: XMP sidecars merged with theirs, and originals as they came."""

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from catalog import collections, ingest
from catalog.blobs.local import LocalBlobs
from catalog.database import Database
from catalog.errors import InvalidInput, MissingBlob
from catalog.exports.datasets import export_dataset
from catalog.imports.arrivals import arriving
from catalog.manifests import FrozenCaption, FrozenItem
from catalog.schema import Dataset, Image, Item, Split
from pictures.sandbox import DecodingProcess
from pictures.xmp import Value, properties_of
from tests.catalog.frozen import AWKWARD, frozen_dataset, frozen_item
from tests.catalog.test_write_back import FOREIGN

Photo = Callable[..., Path]


def caption(text: str, kind: str = "caption", language: str = "en") -> FrozenCaption:
    return FrozenCaption(text=text, kind=kind, language=language, origin="edited", model="starter 1")


@pytest.fixture
def dataset(blobs: LocalBlobs) -> Dataset:
    """Photos that share their names but for the endings, one of them with texts of every kind."""
    texts = [
        caption("A pier."),
        caption("Ein Steg.", language="de"),
        caption("Another pier."),
        caption("Pier", "alt"),
        caption("Steg", "alt", "de"),
        caption("All of the pier.", "description"),
    ]
    return frozen_dataset(
        blobs,
        [
            frozen_item(blobs, "harbour/pier.jpg", Split.TRAIN, *texts),
            frozen_item(blobs, "harbour/pier.tif", Split.TEST, *AWKWARD[:1]),
            frozen_item(blobs, "harbour/quay.jpg", Split.TRAIN, AWKWARD[1]),
        ],
    )


@pytest.fixture
def sidecars(tmp_path: Path) -> Path:
    """A folder in which pier.jpg has a sidecar already."""
    folder = tmp_path / "theirs"
    (folder / "harbour").mkdir(parents=True)
    (folder / "harbour/pier.jpg.xmp").write_text(FOREIGN, encoding="utf-8")
    return folder


def exiftool(file: Path, *tags: str) -> list[str]:
    if shutil.which("exiftool") is None:
        pytest.skip("there is no exiftool")
    command = ["exiftool", "-s3", "-validate", "-warning", *tags, str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_each_photo_gets_a_sidecar_of_its_own_name(
    blobs: LocalBlobs, dataset: Dataset, tmp_path: Path
) -> None:
    folder = export_dataset(blobs, dataset, "xmp", tmp_path / "out", images=False)
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.xmp")}
    assert sorted(found) == ["harbour/pier.jpg.xmp", "harbour/pier.tif.xmp", "harbour/quay.jpg.xmp"]
    said = properties_of(found["harbour/pier.jpg.xmp"])
    assert said["dc:description"] == (
        Value("x-default", "A pier."),
        Value("en", "A pier."),
        Value("de", "Ein Steg."),
    )
    assert [value.text for value in said["Iptc4xmpCore:AltTextAccessibility"]] == ["Pier", "Pier", "Steg"]
    assert properties_of(found["harbour/quay.jpg.xmp"])["dc:description"][0].text == AWKWARD[1]


def test_exiftool_reads_the_texts_and_finds_the_foreign_fields_untouched(
    blobs: LocalBlobs, dataset: Dataset, sidecars: Path, tmp_path: Path
) -> None:
    before = (sidecars / "harbour/pier.jpg.xmp").read_bytes()
    folder = export_dataset(blobs, dataset, "xmp", tmp_path / "out", images=False, sidecars=sidecars)
    tags = [
        "-XMP-dc:Description",
        "-XMP-dc:Description-de",
        "-AltTextAccessibility",
        "-AltTextAccessibility-de",
        "-ExtDescrAccessibility",
        "-Exposure2012",
        "-Instructions",
        "-XMP-dc:Subject",
    ]
    assert exiftool(folder / "harbour/pier.jpg.xmp", *tags) == [
        "OK",
        "A pier.",
        "Ein Steg.",
        "Pier",
        "Steg",
        "All of the pier.",
        "+0.35",
        "Two lines.of them",
        "harbour & sea",
    ]
    assert exiftool(folder / "harbour/pier.tif.xmp", "-XMP-dc:Description") == [
        "OK",
        AWKWARD[0].replace("\n", "."),
    ]
    assert (sidecars / "harbour/pier.jpg.xmp").read_bytes() == before


def test_nothing_brands_the_picture_as_made_by_a_machine(
    blobs: LocalBlobs, dataset: Dataset, sidecars: Path, tmp_path: Path
) -> None:
    folder = export_dataset(blobs, dataset, "xmp", tmp_path / "out", sidecars=sidecars)
    for path in folder.rglob("*.xmp"):
        text = path.read_text(encoding="utf-8").lower()
        for word in ("digitalsourcetype", "algorithmicmedia", "starter", "recaption", "creatortool"):
            assert word not in text


def test_an_import_finds_each_photo_and_its_sidecar(
    blobs: LocalBlobs, dataset: Dataset, tmp_path: Path
) -> None:
    folder = export_dataset(blobs, dataset, "xmp", tmp_path / "out")
    arrival = arriving(folder, staging=tmp_path)
    assert not arrival.left_out
    beside = {file.path: file.sidecar.path for file in arrival.files if file.sidecar}
    assert beside == {
        name: f"{name}.xmp" for name in ("harbour/pier.jpg", "harbour/pier-2.jpg", "harbour/quay.jpg")
    }


def test_a_sidecar_that_is_none_is_named(
    blobs: LocalBlobs, dataset: Dataset, sidecars: Path, tmp_path: Path
) -> None:
    (sidecars / "harbour/quay.XMP").write_text("<broken", encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"quay\.XMP.*is no XML"):
        export_dataset(blobs, dataset, "xmp", tmp_path / "out", sidecars=sidecars)
    assert not (tmp_path / "out").exists()
    with pytest.raises(InvalidInput, match="has no XMP sidecars to merge"):
        export_dataset(blobs, dataset, "coco", tmp_path / "out", sidecars=sidecars)


def test_no_sidecar_outside_the_folder_is_read(blobs: LocalBlobs, sidecars: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.xmp").write_text(FOREIGN, encoding="utf-8")
    paths = ("../outside.jpg", str(tmp_path / "outside.jpg"))
    dataset = frozen_dataset(blobs, [frozen_item(blobs, path, Split.TRAIN, "A pier.") for path in paths])
    folder = export_dataset(blobs, dataset, "xmp", tmp_path / "out", sidecars=sidecars)
    assert [b"darkroom" in path.read_bytes() for path in folder.rglob("*.xmp")] == [False, False]


@pytest.fixture
def archive(
    database: Database, blobs: LocalBlobs, photo: Photo, tmp_path: Path
) -> tuple[Dataset, list[Path]]:
    """A dataset of a stored photo, and of one that was left where it is under a name without an ending."""
    stored = photo(tmp_path / "stored/pier.jpg", 1)
    left = photo(tmp_path / "left/quay.jpg", 2).rename(tmp_path / "left/quay")
    with database.writing() as session:
        collection_id = collections.create(session, name="Harbour", owner=None).id
    with DecodingProcess() as decoder:
        for source, reference in ((stored.parent, False), (left.parent, True)):
            files = arriving(source, staging=tmp_path, reference=reference).files
            assert all(one.stored for one in ingest.ingest(database, blobs, decoder, collection_id, files))
    with database.reading() as session:
        rows = session.query(Item, Image).join(Image).order_by(Item.id).all()
        frozen = [
            FrozenItem(
                item_id=item.id,
                path=item.path,
                sha256=image.sha256,
                rendition=image.rendition,
                width=image.width,
                height=image.height,
                split=Split.TRAIN,
                captions=(caption("A pier."),),
            )
            for item, image in rows
        ]
    return frozen_dataset(blobs, frozen), [stored, left]


@pytest.mark.parametrize("format", ["karpathy", "csv", "webdataset", "imagefolder"])
def test_originals_are_exported_as_they_came_wherever_they_lie(
    database: Database,
    blobs: LocalBlobs,
    archive: tuple[Dataset, list[Path]],
    tmp_path: Path,
    format: str,
) -> None:
    dataset, originals = archive
    folder = export_dataset(blobs, dataset, format, tmp_path / "out", originals=database)
    data = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    for original in originals:
        # A tar holds them as they are, among others.
        assert original.read_bytes() in data
    if format == "karpathy":
        assert sorted(path.name for path in (folder / "images").iterdir()) == ["pier.jpg", "quay.jpg"]


def test_an_original_that_changed_where_it_was_left_ends_the_export(
    database: Database, blobs: LocalBlobs, archive: tuple[Dataset, list[Path]], tmp_path: Path
) -> None:
    dataset, (_, left) = archive
    left.write_bytes(bytes(left.stat().st_size))
    with pytest.raises(MissingBlob, match="left at"):
        export_dataset(blobs, dataset, "csv", tmp_path / "out", originals=database)
    assert not (tmp_path / "out").exists()
    folder = export_dataset(blobs, dataset, "csv", tmp_path / "out")
    assert len(list(folder.rglob("*.jpg"))) == 2


def test_annotations_tell_the_hash_of_original_and_exported_file(
    database: Database, blobs: LocalBlobs, archive: tuple[Dataset, list[Path]], tmp_path: Path
) -> None:
    dataset, originals = archive
    folder = export_dataset(blobs, dataset, "csv", tmp_path / "out", originals=database)
    table = (folder / "captions.csv").read_text(encoding="utf-8")
    for original in originals:
        assert table.count(hashlib.sha256(original.read_bytes()).hexdigest()) == 2
