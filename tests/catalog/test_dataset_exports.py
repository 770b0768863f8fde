"""Each format of frozen datasets, read again by the tool that people read it with."""

import csv
import gc
import hashlib
import io
import json
import shutil
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from catalog.blobs.local import LocalBlobs
from catalog.blobs.s3 import S3Blobs
from catalog.errors import Conflict, InvalidInput, MissingBlob, StorageFull
from catalog.exports.csv import unguarded
from catalog.exports.datasets import DATASET_FORMATS, export_dataset
from catalog.exports.zips import stream_zip
from catalog.imports.arrivals import arriving
from catalog.manifests import FrozenCaption, FrozenItem
from catalog.schema import Dataset, Split
from model.data import read_data
from tests.catalog.frozen import AWKWARD, frozen_dataset, frozen_item
from tests.disks import fill_up

Export = Callable[..., Path]
Texts = dict[str, list[str]]
WITHOUT_IMAGES = [format for format in DATASET_FORMATS if format != "imagefolder"]


@pytest.fixture
def items(blobs: LocalBlobs) -> list[FrozenItem]:
    """Six photos in three splits, whose names meet where endings and case do not count."""
    german = FrozenCaption(text="Zwei Boote.", language="de", kind="caption", origin="written")
    return [
        frozen_item(blobs, "pier/Süd.jpg", Split.TRAIN, AWKWARD[0], AWKWARD[1], german, external_id="INV-7"),
        frozen_item(blobs, "pier/süd.JPG", Split.TRAIN, AWKWARD[2]),
        frozen_item(blobs, "pier/Süd.tif", Split.VALIDATION, AWKWARD[3], rights="© Grace"),
        frozen_item(blobs, "=1+1/train.test.jpg", Split.TEST, AWKWARD[4]),
        frozen_item(blobs, "../../etc/passwd", Split.TRAIN, "A door."),
        frozen_item(blobs, "l" * 300 + ".png", Split.TRAIN, "A lane.", "A narrow lane."),
    ]


@pytest.fixture
def dataset(blobs: LocalBlobs, items: list[FrozenItem]) -> Dataset:
    return frozen_dataset(blobs, items)


@pytest.fixture
def export(blobs: LocalBlobs, dataset: Dataset, tmp_path: Path) -> Export:
    """A function that exports the dataset into a new folder."""

    def run(format: str, name: str = "out", **options: Any) -> Path:
        return export_dataset(blobs, dataset, format, tmp_path / name, **options)

    return run


def texts_of(item: FrozenItem) -> list[str]:
    return [caption.text for caption in item.captions]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read_by_the_captioner(folder: Path) -> dict[str, list[tuple[str, list[str]]]]:
    """Hash of the file and captions of each photo, by split."""
    data = read_data(folder)
    return {
        split: [(digest(one.path.read_bytes()), list(one.captions)) for one in data.split(split)]
        for split in data.splits
    }


def expected(items: list[FrozenItem], **splits: str) -> dict[str, list[tuple[str, list[str]]]]:
    """What a reader is to find, where it calls the splits so."""
    return {
        called: [(item.rendition, texts_of(item)) for item in items if item.split == split]
        for split, called in splits.items()
    }


def imported(folder: Path) -> dict[str, Texts]:
    """What our own import takes of a folder: the captions of each photo, by its path."""
    arrival = arriving(folder, staging=folder)
    assert not arrival.left_out
    return {
        file.path: [caption.text for caption in file.given.captions] for file in arrival.files if file.given
    }


def test_pycocotools_reads_coco(export: Export, items: list[FrozenItem]) -> None:
    from pycocotools.coco import COCO

    folder = export("coco")
    ids: set[int] = set()
    for split, called in ((Split.TRAIN, "train"), (Split.VALIDATION, "val"), (Split.TEST, "test")):
        coco = COCO(folder / f"captions_{called}.json")
        wanted = [item for item in items if item.split == split]
        images = coco.loadImgs(coco.getImgIds())
        assert [one["sha256"] for one in images] == [item.sha256 for item in wanted]
        for image, item in zip(images, wanted, strict=True):
            annotations = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
            assert [one["caption"] for one in annotations] == texts_of(item)
            assert ids.isdisjoint(one["id"] for one in annotations)
            ids |= {one["id"] for one in annotations}
            with Image.open(folder / "images" / image["file_name"]) as picture:
                assert picture.size == (image["width"], image["height"]) == (48, 32)
    assert ids == set(range(1, 10))


@pytest.mark.parametrize("format", ["coco", "karpathy", "flickr8k"])
def test_the_captioner_trains_on_it(export: Export, items: list[FrozenItem], format: str) -> None:
    splits = {Split.TRAIN: "train", Split.VALIDATION: "val", Split.TEST: "test"}
    assert read_by_the_captioner(export(format)) == expected(items, **splits)


def test_programs_that_know_karpathys_json_find_their_way(export: Export, items: list[FrozenItem]) -> None:
    folder = export("karpathy")
    found = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    assert found["dataset"] == "Harbour@3"
    sentids = []
    for number, (image, item) in enumerate(zip(found["images"], items, strict=True)):
        path = folder / image["filepath"] / image["filename"]
        assert digest(path.read_bytes()) == item.rendition
        assert image["imgid"] == number
        assert all(sentence["imgid"] == number for sentence in image["sentences"])
        assert image["sentids"] == [sentence["sentid"] for sentence in image["sentences"]]
        sentids += image["sentids"]
    assert sentids == list(range(9))
    assert found["images"][0]["sentences"][0]["tokens"] == ["a", "boat", "and", "a", "pier", "it's", "grey"]


def test_flickr8k_has_a_list_of_names_a_split(export: Export) -> None:
    folder = export("flickr8k")
    lists = {path.name: path.read_text(encoding="utf-8").splitlines() for path in folder.glob("*.txt")}
    assert lists["captions.txt"][0] == "image,caption"
    assert lists["val.txt"] == ["pier/Süd-3.jpg"]
    assert lists["test.txt"] == ["=1+1/train.test.jpg"]
    assert lists["train.txt"] == ["pier/Süd.jpg", "pier/süd-2.jpg", "etc/passwd.jpg", f"{'l' * 116}.jpg"]


@pytest.mark.parametrize("format", ["coco", "karpathy", "flickr8k", "jsonl", "csv"])
def test_our_import_reads_it_back(
    export: Export, items: list[FrozenItem], format: str, tmp_path: Path
) -> None:
    folder = export(format)
    if format == "coco":
        found = {}
        for split in ("train", "val", "test"):
            arrival = arriving(folder, staging=tmp_path, captions=folder / f"captions_{split}.json")
            found |= {
                file.path: [one.text for one in file.given.captions] for file in arrival.files if file.given
            }
    else:
        found = imported(folder)
    by_content = {digest((folder / path).read_bytes()): texts for path, texts in found.items()}
    assert by_content == {item.rendition: texts_of(item) for item in items}


def test_csv_guards_against_formulas_and_names_original_and_file(
    export: Export, items: list[FrozenItem]
) -> None:
    folder = export("csv")
    with (folder / "captions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [unguarded(row["caption"]) for row in rows] == [text for item in items for text in texts_of(item)]
    dangerous = [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]
    assert dangerous == []
    assert {(row["sha256"], row["file_sha256"]) for row in rows} == {
        (item.sha256, item.rendition) for item in items
    }
    for row in rows:
        assert digest((folder / unguarded(row["path"])).read_bytes()) == row["file_sha256"]
    assert [row["split"] for row in rows[4:]] == ["validation", "test", "train", "train", "train"]
    assert rows[0]["external_id"] == "INV-7"


def test_jsonl_loses_nothing_of_the_manifest(export: Export, items: list[FrozenItem]) -> None:
    folder = export("jsonl")
    lines = (folder / "captions.jsonl").read_text(encoding="utf-8").rstrip("\n").split("\n")
    found = []
    for line in lines:
        row = json.loads(line)
        assert digest((folder / row.pop("path")).read_bytes()) == row.pop("file_sha256")
        captions = []
        for caption in row.pop("captions"):
            assert caption.pop("state") == "accepted"
            model = caption.pop("checkpoint")
            captions.append(FrozenCaption(**caption, model=model))
        path, split = row.pop("item_path"), Split(row.pop("split"))
        found.append(FrozenItem(**row, path=path, split=split, captions=tuple(captions)))
    assert found == items


def test_an_import_of_jsonl_keeps_what_is_known_of_captions(export: Export) -> None:
    first = arriving(export("jsonl"), staging=Path()).files[0].given
    assert first
    assert first.external_id == "INV-7"
    assert [(one.origin, one.language, one.version, one.model) for one in first.captions] == [
        ("edited", "en", 2, "starter"),
        ("edited", "en", 2, "starter"),
        ("written", "de", 1, None),
    ]


def test_texts_lie_beside_their_photos(export: Export, items: list[FrozenItem]) -> None:
    folder = export("txt")
    photos = {path: digest(path.read_bytes()) for path in folder.rglob("*.jpg")}
    found = {hash_: path.with_suffix(".txt").read_text(encoding="utf-8") for path, hash_ in photos.items()}
    assert found == {
        item.rendition: "".join(f"{text}\n".replace("\n", " ", text.count("\n")) for text in texts_of(item))
        for item in items
    }


def test_datasets_reads_an_imagefolder(export: Export, items: list[FrozenItem], tmp_path: Path) -> None:
    found = load("imagefolder", tmp_path, data_dir=str(export("imagefolder")))
    for split in (Split.TRAIN, Split.VALIDATION, Split.TEST):
        rows = found[split]
        wanted = [item for item in items if item.split == split]
        assert [row["text"] for row in rows] == [texts_of(item) for item in wanted]
        assert [row["item_path"] for row in rows] == [item.path for item in wanted]
        assert [row["image"].size for row in rows] == [(48, 32)] * len(wanted)
    assert found["train"][0]["languages"] == ["en", "en", "de"]


def test_datasets_reads_parquet_with_pictures(
    export: Export, items: list[FrozenItem], tmp_path: Path
) -> None:
    found = load(str(export("parquet")), tmp_path)
    assert sorted(found) == ["test", "train", "validation"]
    for split, rows in found.items():
        wanted = [item for item in items if item.split == split]
        assert [row["captions"] for row in rows] == [texts_of(item) for item in wanted]
        assert [row["image"].size for row in rows] == [(48, 32)] * len(wanted)


def load(name: str, cache: Path, **options: Any) -> Any:
    """What `datasets` loads, without a cache that outlives the test."""
    import datasets

    datasets.disable_progress_bars()
    return datasets.load_dataset(name, cache_dir=str(cache / "cache"), **options)


def test_pyarrow_reads_parquet(export: Export, items: list[FrozenItem]) -> None:
    import pyarrow.parquet

    rows = pyarrow.parquet.read_table(export("parquet") / "data/train-00000-of-00001.parquet").to_pylist()
    wanted = [item for item in items if item.split is Split.TRAIN]
    assert [digest(row["image"]["bytes"]) for row in rows] == [item.rendition for item in wanted]
    assert [row["file_sha256"] for row in rows] == [item.rendition for item in wanted]
    assert [row["captions"] for row in rows] == [texts_of(item) for item in wanted]
    assert rows[0]["image"]["path"] == "pier/Süd.jpg"


# It never closes the shards that it opens.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_webdataset_reads_shards(
    export: Export, items: list[FrozenItem], monkeypatch: pytest.MonkeyPatch
) -> None:
    import webdataset

    from catalog.exports import webdataset as shards

    monkeypatch.setattr(shards, "SAMPLES", 3)
    folder = export("webdataset")
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["test-000000.tar", "train-000000.tar", "train-000001.tar", "validation-000000.tar"]
    for split in (Split.TRAIN, Split.VALIDATION, Split.TEST):
        urls = [str(path) for path in sorted(folder.glob(f"{split}-*.tar"))]
        samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode("pil"))
        wanted = [item for item in items if item.split == split]
        assert [sample["txt"] for sample in samples] == [texts_of(item)[0] for item in wanted]
        assert [sample["json"]["item_path"] for sample in samples] == [item.path for item in wanted]
        assert [[one["text"] for one in sample["json"]["captions"]] for sample in samples] == [
            texts_of(item) for item in wanted
        ]
        assert [sample["jpg"].size for sample in samples] == [(48, 32)] * len(wanted)
    gc.collect()


def test_tar_reads_shards(export: Export) -> None:
    for path in export("webdataset").iterdir():
        with tarfile.open(path) as archive:
            assert {(member.mtime, member.uid, member.uname) for member in archive} == {(0, 0, "")}
        assert path.stat().st_size % tarfile.RECORDSIZE == 0


def test_a_golden_set_keeps_its_split_where_readers_let_it(
    blobs: LocalBlobs, items: list[FrozenItem], tmp_path: Path
) -> None:
    reference = FrozenCaption(text="A pier.", language="en", kind="caption", origin="written", blind=True)
    golden = [replace(item, split=Split.GOLDEN, captions=(reference,)) for item in items]
    dataset = frozen_dataset(blobs, golden)
    for format in ("coco", "karpathy", "flickr8k"):
        folder = export_dataset(blobs, dataset, format, tmp_path / format)
        assert read_by_the_captioner(folder) == expected(golden, golden="golden")
    loaded = load(str(export_dataset(blobs, dataset, "parquet", tmp_path / "parquet")), tmp_path)
    assert {split: len(rows) for split, rows in loaded.items()} == {"golden": 6}
    folder = export_dataset(blobs, dataset, "imagefolder", tmp_path / "imagefolder")
    loaded = load("imagefolder", tmp_path, data_dir=str(folder))
    assert {split: set(rows["split"]) for split, rows in loaded.items()} == {"test": {"golden"}}
    assert imported(export_dataset(blobs, dataset, "jsonl", tmp_path / "jsonl"))["pier/Süd.jpg"] == [
        "A pier."
    ]


@pytest.mark.parametrize("format", DATASET_FORMATS)
def test_the_same_dataset_gives_the_same_bytes_wherever_it_lies(
    blobs: LocalBlobs, items: list[FrozenItem], export: Export, tmp_path: Path, format: str
) -> None:
    shutil.copytree(blobs.folder, tmp_path / "moved/blobs")
    moved = LocalBlobs(tmp_path / "moved/blobs")
    again = export_dataset(moved, frozen_dataset(moved, items), format, tmp_path / "else where")
    assert content(again) == content(export(format))


@pytest.mark.parametrize("format", DATASET_FORMATS)
def test_a_zip_holds_the_same_files_and_is_the_same_each_time(
    blobs: LocalBlobs, dataset: Dataset, export: Export, format: str
) -> None:
    data = b"".join(stream_zip(blobs, dataset, format))
    assert data == b"".join(stream_zip(blobs, dataset, format))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == content(export(format))


@pytest.mark.parametrize("format", WITHOUT_IMAGES)
def test_captions_are_exported_without_pictures(
    blobs: LocalBlobs, dataset: Dataset, items: list[FrozenItem], export: Export, format: str
) -> None:
    for item in items:
        blobs.delete(item.rendition)
    data = content(export(format, images=False))
    assert not [name for name in data if name.lower().endswith((".jpg", ".png"))]
    if format != "parquet":  # which is compressed
        assert any(b"A lane." in one for one in data.values())


def test_an_imagefolder_is_nothing_without_pictures(export: Export, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="folder of images"):
        export("imagefolder", images=False)
    assert [path.name for path in tmp_path.iterdir()] == ["blobs"]


def test_captions_without_pictures_name_the_photos_as_they_were_imported(
    export: Export, items: list[FrozenItem]
) -> None:
    lines = (
        (export("jsonl", images=False) / "captions.jsonl")
        .read_text(encoding="utf-8")
        .rstrip("\n")
        .split("\n")
    )
    assert [json.loads(line)["path"] for line in lines] == [item.path for item in items]
    assert {json.loads(line)["file_sha256"] for line in lines} == {None}


@pytest.mark.parametrize("format", DATASET_FORMATS)
def test_an_empty_dataset_is_exported_as_nothing_but_its_form(
    blobs: LocalBlobs, tmp_path: Path, format: str
) -> None:
    assert export_dataset(blobs, frozen_dataset(blobs, []), format, tmp_path / "out").is_dir()


def test_a_tampered_manifest_is_refused_before_anything_is_written(
    blobs: LocalBlobs, dataset: Dataset, export: Export, tmp_path: Path
) -> None:
    path = blobs.path(dataset.manifest_sha256)
    path.write_bytes(path.read_bytes().replace(b"A door.", b"A gate."))
    with pytest.raises(MissingBlob, match="damaged"):
        export("csv")
    with pytest.raises(MissingBlob, match="damaged"):
        stream_zip(blobs, dataset, "csv")
    assert [path.name for path in tmp_path.iterdir()] == ["blobs"]


def test_a_damaged_photo_ends_the_export_and_leaves_nothing(
    blobs: LocalBlobs, dataset: Dataset, items: list[FrozenItem], export: Export, tmp_path: Path
) -> None:
    blobs.path(items[3].rendition).write_bytes(b"something else")
    with pytest.raises(MissingBlob, match=items[3].rendition):
        export("parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["blobs"]
    sent = bytearray()
    with pytest.raises(MissingBlob, match=items[3].rendition):
        sent.extend(b for piece in stream_zip(blobs, dataset, "coco") for b in piece)
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(sent))


@pytest.mark.parametrize("format", DATASET_FORMATS)
def test_a_disk_that_fills_up_leaves_nothing_and_takes_the_export_later(
    blobs: LocalBlobs, items: list[FrozenItem], small_disk: Path, format: str
) -> None:
    long = FrozenCaption(text="pier " * 20_000, language="en", kind="caption", origin="written")
    dataset = frozen_dataset(blobs, [replace(item, captions=(long,)) for item in items])
    filler = fill_up(small_disk, but=4096)
    with pytest.raises(StorageFull, match="small disk"):
        export_dataset(blobs, dataset, format, small_disk / "out")
    assert [path.name for path in small_disk.iterdir()] == ["filler"]
    filler.unlink()
    export_dataset(blobs, dataset, format, small_disk / "out")
    assert content(small_disk / "out")


def test_a_folder_that_holds_something_is_left_alone(export: Export, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    export("jsonl")
    before = content(tmp_path / "out")
    with pytest.raises(Conflict, match="is not empty"):
        export("csv")
    assert content(tmp_path / "out") == before
    with pytest.raises(Conflict, match="is a file"):
        export("csv", "out/captions.jsonl")
    with pytest.raises(InvalidInput, match="cannot be made"):
        export("csv", "out/captions.jsonl/below")


def test_an_empty_folder_stays_the_one_that_somebody_stands_in(
    export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out/.part").mkdir(parents=True)
    (tmp_path / "out/.part/half.json").write_text("{", encoding="utf-8")
    monkeypatch.chdir(tmp_path / "out")
    export("coco")
    assert sorted(path.name for path in Path().iterdir()) == [
        "captions_test.json",
        "captions_train.json",
        "captions_val.json",
        "images",
    ]
    assert content(Path()) == content(export("coco", "other"))


def test_a_disk_of_its_own_takes_an_export_or_stays_empty(
    blobs: LocalBlobs, items: list[FrozenItem], export: Export, small_disk: Path
) -> None:
    long = FrozenCaption(text="pier " * 600_000, language="en", kind="caption", origin="written")
    too_much = frozen_dataset(blobs, [replace(items[0], captions=(long,))])
    with pytest.raises(StorageFull, match="small disk' is full"):
        export_dataset(blobs, too_much, "coco", small_disk)
    assert list(small_disk.iterdir()) == []
    export_dataset(blobs, frozen_dataset(blobs, items), "coco", small_disk)
    assert content(small_disk) == content(export("coco"))


def test_an_unknown_format_names_the_known_ones(export: Export) -> None:
    with pytest.raises(InvalidInput, match="coco, karpathy, flickr8k"):
        export("docx")


def test_a_bucket_gives_the_same_export(
    blobs: LocalBlobs, s3_blobs: S3Blobs, items: list[FrozenItem], export: Export, tmp_path: Path
) -> None:
    for key in {blob.name for blob in blobs.folder.glob("??/*")}:
        s3_blobs.put(blobs.read(key))
    again = export_dataset(s3_blobs, frozen_dataset(s3_blobs, items), "webdataset", tmp_path / "again")
    assert content(again) == content(export("webdataset"))


def test_a_zip_is_made_while_it_is_sent(blobs: LocalBlobs, tmp_path: Path) -> None:
    large = [blobs.put(bytes([number]) * (8 << 20)) for number in range(6)]
    items = [
        replace(frozen_item(blobs, f"{number}.jpg", Split.TRAIN, "A pier.", item_id=number), rendition=key)
        for number, key in enumerate(large)
    ]
    dataset = frozen_dataset(blobs, items)
    tracemalloc.start()
    length = sum(map(len, stream_zip(blobs, dataset, "karpathy")))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert length > 6 * (8 << 20)
    assert most < 8 << 20
