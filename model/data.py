"""Photos and their captions, read from the layouts that people have."""

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model.errors import DataError

VALIDATION_NAMES = ("dev", "val", "validation")
SPLIT_NAMES = ("train", *VALIDATION_NAMES, "test")


@dataclass(frozen=True)
class Example:
    """A photo and the captions people gave it; `image_id` is what its file of captions calls it.

    `source` says where the pair comes from, in a word, where the file says so.
    """

    path: Path
    captions: tuple[str, ...]
    image_id: int | str = ""
    source: str = ""

    def __post_init__(self) -> None:
        if self.image_id == "":
            object.__setattr__(self, "image_id", self.path.name)


@dataclass(frozen=True)
class CaptionData:
    """Examples by split; `about` is what their file says of itself."""

    source: Path
    splits: Mapping[str, tuple[Example, ...]]
    about: Mapping[str, Any] = field(default_factory=dict)

    def split(self, name: str) -> tuple[Example, ...]:
        """The examples of one split; raises DataError naming those there are."""
        if not self.splits.get(name):
            raise DataError(f'"{self.source}" has no split "{name}"; it has {", ".join(sorted(self.splits))}')
        return self.splits[name]

    def validation_split(self) -> str:
        """The split that choices are made on: dev, val or validation; raises DataError."""
        for name in VALIDATION_NAMES:
            if self.splits.get(name):
                return name
        raise DataError(
            f'"{self.source}" has no split to validate on; call one of its splits '
            f"{', '.join(VALIDATION_NAMES[:-1])} or {VALIDATION_NAMES[-1]}"
        )


def read_data(source: Path) -> CaptionData:
    """Read a folder in the Flickr8k layout, a Karpathy JSON or COCO captions JSONs (the file, or its folder).

    Raises DataError for an empty folder, captions without images, images without captions, and for an image
    that stands in two splits.
    """
    about: dict[str, Any] = {}
    if not source.exists():
        raise DataError(f'there is no "{source}" to read photos and captions from')
    if source.is_file():
        splits = _read_json([source], about)
    elif (source / "captions.txt").is_file():
        splits = _read_flickr8k(source)
    elif files := sorted(source.glob("*.json")):
        splits = _read_json(files, about)
    else:
        raise DataError(
            f'"{source}" holds neither captions.txt with Images/ nor a captions JSON; '
            "pass a folder in the Flickr8k layout, a Karpathy JSON or a COCO captions JSON"
        )
    _refuse_missing(splits, source)
    _refuse_leaks(splits, source)
    return CaptionData(source, splits, about)


def content_hashes(examples: Sequence[Example]) -> list[str]:
    """SHA-256 of each photo's bytes."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(_sha256, (example.path for example in examples)))


def refuse_same_bytes(hashes: Mapping[str, Iterable[str]]) -> None:
    """Raise DataError when photos of equal bytes stand in two splits, given the hashes of each."""
    seen: dict[str, str] = {}
    for split, split_hashes in hashes.items():
        for digest in split_hashes:
            other = seen.setdefault(digest, split)
            if other != split:
                raise DataError(
                    f"one photo ({digest[:12]}) stands in the splits {other} and {split}; take it out of one"
                )


def data_hash(examples: Sequence[Example], hashes: Sequence[str]) -> str:
    """One hash of photos and captions, whatever their order and file names."""
    rows = sorted((digest, example.captions) for example, digest in zip(examples, hashes, strict=True))
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_flickr8k(folder: Path) -> dict[str, tuple[Example, ...]]:
    captions: dict[str, list[str]] = {}
    path = folder / "captions.txt"
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        if next(rows, None) != ["image", "caption"]:
            raise DataError(f'"{path}" must begin with the header image,caption')
        for row in rows:
            if len(row) != 2 or not row[1].strip():
                raise DataError(f'line {rows.line_num} of "{path}" is not an image and its caption: {row}')
            captions.setdefault(row[0], []).append(row[1].strip())
    if not captions:
        raise DataError(f'"{path}" has no captions')
    lists = {path.stem: _lines(path) for path in sorted(folder.glob("*.txt")) if path.name != "captions.txt"}
    # Other texts may lie beside the lists, such as a README.
    lists = {
        split: names
        for split, names in lists.items()
        if split in SPLIT_NAMES or any(name in captions for name in names)
    }
    if not lists:
        _refuse_uncaptioned(folder / "Images", captions)
    for split, names in lists.items():
        uncaptioned = [name for name in names if name not in captions]
        if uncaptioned:
            raise DataError(
                f'{len(uncaptioned)} images of {split}.txt have no caption, first "{uncaptioned[0]}"'
            )
    return {
        split: tuple(Example(folder / "Images" / name, tuple(captions[name])) for name in names)
        for split, names in (lists or {"train": list(captions)}).items()
    }


def _refuse_uncaptioned(images: Path, captions: Mapping[str, object]) -> None:
    names = sorted(path.name for path in images.glob("*") if path.is_file() and path.name not in captions)
    if names:
        raise DataError(
            f'{len(names)} photos of "{images}" have no caption, first "{names[0]}"; '
            "caption them, take them out, or list those to learn from in train.txt"
        )


def _lines(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return list(dict.fromkeys(line.strip() for line in lines if line.strip()))


def _read_json(files: Sequence[Path], about: dict[str, Any]) -> dict[str, tuple[Example, ...]]:
    """The examples by split; what the files say of themselves goes into `about`."""
    splits: dict[str, list[Example]] = {}
    for file in files:
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            read = _coco(content, file) if "annotations" in content else _karpathy(content, file)
            about |= dict(content.get("about", {}))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f'"{file}" is neither a Karpathy nor a COCO captions JSON: {error!r}') from error
        for split, example in read:
            splits.setdefault(split, []).append(example)
    return {split: tuple(examples) for split, examples in splits.items()}


def _karpathy(content: dict[str, Any], file: Path) -> list[tuple[str, Example]]:
    read = []
    for image in content["images"]:
        path = _beside(file, image.get("filepath", ""), image["filename"])
        captions = tuple(sentence["raw"].strip() for sentence in image["sentences"])
        # Karpathy's "restval" is the part of COCO's validation photos that everybody trains on.
        split = "train" if image["split"] == "restval" else image["split"]
        image_id = image.get("cocoid", image.get("imgid", ""))
        read.append((split, Example(path, captions, image_id, str(image.get("source", "")))))
    return read


def _coco(content: dict[str, Any], file: Path) -> list[tuple[str, Example]]:
    split = next((name for name in ("train", "val", "dev", "test", "golden") if name in file.stem), file.stem)
    captions: dict[Any, list[str]] = {image["id"]: [] for image in content["images"]}
    for annotation in content["annotations"]:
        captions[annotation["image_id"]].append(annotation["caption"].strip())
    return [
        (split, Example(_beside(file, "", image["file_name"]), tuple(captions[image["id"]]), image["id"]))
        for image in content["images"]
    ]


def _beside(file: Path, folder: str, name: str) -> Path:
    """The photo beside the JSON, under the folder it names, or in Images/ or images/."""
    places = [
        file.parent / folder / name,
        *(file.parent / images / folder / name for images in ("Images", "images")),
    ]
    return next((place for place in places if place.is_file()), places[0])


def _refuse_missing(splits: Mapping[str, Sequence[Example]], source: Path) -> None:
    if not any(splits.values()):
        raise DataError(f'"{source}" has no captioned photos')
    for split, examples in splits.items():
        missing = [example.path for example in examples if not example.path.is_file()]
        if missing:
            raise DataError(f'{len(missing)} photos of split {split} are missing, first "{missing[0]}"')
        bare = [example.path for example in examples if not example.captions]
        if bare:
            raise DataError(f'{len(bare)} photos of split {split} have no caption, first "{bare[0]}"')


def _refuse_leaks(splits: Mapping[str, Sequence[Example]], source: Path) -> None:
    seen: dict[Path, str] = {}
    for split, examples in splits.items():
        for example in examples:
            other = seen.setdefault(example.path, split)
            if other != split:
                raise DataError(
                    f'"{example.path.name}" stands in the splits {other} and {split} of "{source}"'
                )
