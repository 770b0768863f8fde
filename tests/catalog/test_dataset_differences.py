"""What differs between two frozen datasets."""

from pathlib import Path

import pytest

from catalog import dataset_differences, manifests
from catalog.blobs.local import LocalBlobs
from catalog.errors import DamagedManifest, MissingBlob
from catalog.manifests import FrozenCaption, FrozenItem, Header
from catalog.schema import Dataset, Split

HEADER = Header(kind="curated", collection="Harbour", filter={}, guidelines="")


def item(number: int, *texts: str, item_id: int | None = None, version: int = 1) -> FrozenItem:
    return FrozenItem(
        item_id=item_id or number,
        path=f"{number}.jpg",
        sha256=f"{number:064x}",
        rendition=f"{number:064x}",
        width=9,
        height=9,
        split=Split.TRAIN,
        captions=tuple(
            FrozenCaption(text=text, language="en", kind="caption", origin="edited", version=version)
            for text in texts
        ),
    )


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "blobs")


def kept(blobs: LocalBlobs, folder: Path, *items: FrozenItem) -> Dataset:
    manifests.write(folder / "manifest.jsonl", HEADER, items)
    return Dataset(manifest_sha256=blobs.put(folder / "manifest.jsonl"))


def test_photos_come_go_and_change(blobs: LocalBlobs, tmp_path: Path) -> None:
    older = kept(blobs, tmp_path, item(1, "A boat."), item(2, "A mill."), item(3, "A pier."))
    newer = kept(blobs, tmp_path, item(4, "A buoy."), item(2, "A windmill."), item(3, "A pier.", item_id=9))
    found = dataset_differences.difference(blobs, older, newer)
    assert [one.path for one in found.added.rows] == ["4.jpg"]
    assert [one.path for one in found.removed.rows] == ["1.jpg"]
    (change,) = found.changed.rows
    assert [one.text for one in (*change.before, *change.after)] == ["A mill.", "A windmill."]


def test_a_caption_that_was_changed_back_is_no_difference(blobs: LocalBlobs, tmp_path: Path) -> None:
    older = kept(blobs, tmp_path, item(1, "A boat."))
    newer = kept(blobs, tmp_path, item(1, "A boat.", version=3))
    found = dataset_differences.difference(blobs, older, newer)
    assert (found.added.count, found.removed.count, found.changed.count) == (0, 0, 0)


def test_long_lists_are_counted_and_cut(blobs: LocalBlobs, tmp_path: Path) -> None:
    older = kept(blobs, tmp_path, item(0, "A boat."))
    newer = kept(blobs, tmp_path, *[item(number, "A boat.") for number in range(151)])
    found = dataset_differences.difference(blobs, older, newer)
    assert (found.added.count, len(found.added.rows)) == (150, dataset_differences.MOST_TOLD)


def test_a_damaged_manifest_is_refused(blobs: LocalBlobs, tmp_path: Path) -> None:
    dataset = kept(blobs, tmp_path, item(1, "A boat."))
    with pytest.raises(DamagedManifest):
        dataset_differences.difference(blobs, dataset, Dataset(manifest_sha256=blobs.put(b"no manifest")))
    lines = blobs.read(dataset.manifest_sha256).splitlines(keepends=True)
    for line in (b"[]\n", b"{}\n", b"no JSON\n", lines[1].replace(b'"train"', b'"exam"')):
        damaged = Dataset(manifest_sha256=blobs.put(lines[0] + line))
        with pytest.raises(DamagedManifest, match="a line that is no item"):
            dataset_differences.difference(blobs, damaged, dataset)
    path = blobs.path(dataset.manifest_sha256)
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(MissingBlob):
        dataset_differences.difference(blobs, dataset, dataset)
