"""A folder of photos with the file of captions in it, whichever format that has."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from catalog.errors import InvalidInput
from catalog.imports import coco, csv, flickr8k, imagefolder, jsonl, sidecars
from catalog.imports.rows import BadRow, GivenItem, Rows, json_lines, read_json
from catalog.ingest import FileReport, Incoming, pictures_of

Reader = Callable[..., Rows]

MISSING = "missing"


@dataclass(frozen=True)
class Arrival:
    """Files to import, in order, and a report for each row of captions that no photo will carry."""

    files: Sequence[Incoming]
    left_out: Sequence[FileReport]


def arriving(source: Path, *, captions: Path | None = None, captioned_by: str | None = None) -> Arrival:
    """The photos of a file or folder, each with what comes along, in the order of the file of captions.

    Without `captions` the file is looked for in the folder. `captioned_by` names the model whose captions
    they are where the format cannot tell; otherwise they are people's. Raises InvalidInput.
    """
    files = pictures_of(source)
    if not source.is_dir():
        if captions:
            raise InvalidInput(f"{str(source)!r} is no folder; captions of {captions.name} need one")
        return Arrival(files, ())
    known = captions or _captions_of(source)
    if known:
        reader = _reader(known)
        rows = reader(known, captioned_by=captioned_by)
        return _joined([file for file in files if not _is_text_of(file, known, reader)], rows)
    texts = sidecars.beside(file.path for file in files)
    names = set(texts.values())
    rows = sidecars.read(source, texts, captioned_by=captioned_by)
    return _joined([file for file in files if file.path not in names], rows)


def _joined(files: Sequence[Incoming], rows: Rows) -> Arrival:
    """Files with the rows that name them, first those that are named."""
    places = _Places(file.path for file in files)
    given: dict[str, GivenItem] = {}
    left_out = []
    for row in rows:
        if isinstance(row, BadRow):
            left_out.append(FileReport(row.place, "refused", None, row.reason))
        elif (path := places.of(row.path)) is None:
            detail = f"{row.place} has captions of it, but there is no such file in the folder"
            left_out.append(FileReport(row.path, MISSING, None, detail))
        else:
            given[path] = _sum(given[path], row) if path in given else row
    by_path = {file.path: file for file in files}
    named = [replace(by_path[path], given=row) for path, row in given.items()]
    return Arrival([*named, *(file for file in files if file.path not in given)], left_out)


class _Places:
    """Where photos lie that a row names, perhaps without the folder they lie in."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = set(paths)
        self._by_name: dict[str, list[str]] = {}
        for path in self._paths:
            self._by_name.setdefault(PurePosixPath(path).name, []).append(path)

    def of(self, path: str) -> str | None:
        """The file of this path, or the only one whose path ends in it."""
        if path in self._paths:
            return path
        ending = [one for one in self._by_name.get(PurePosixPath(path).name, []) if one.endswith(f"/{path}")]
        return ending[0] if len(ending) == 1 else None


def _sum(first: GivenItem, other: GivenItem) -> GivenItem:
    return replace(
        first,
        captions=(*first.captions, *other.captions),
        external_id=first.external_id or other.external_id,
        rights=first.rights or other.rights,
        metadata={**other.metadata, **first.metadata},
        flagged=first.flagged or other.flagged,
    )


def _captions_of(folder: Path) -> Path | None:
    """The file of captions in a folder. Raises InvalidInput when there are several."""
    names = (jsonl.FILE, csv.FILE, *imagefolder.FILES, *flickr8k.FILES)
    found = [folder / name for name in names if (folder / name).is_file()]
    found = [file for file in found if file.suffix != ".txt" or _is_flickr8k(file)]
    found += [file for file in sorted(folder.glob("*.json")) if _json_reader(file)]
    if len(found) > 1:
        listed = ", ".join(file.name for file in found)
        raise InvalidInput(f"{str(folder)!r} has several files of captions ({listed}); name one: --captions")
    return found[0] if found else None


def _reader(file: Path) -> Reader:
    """The reader of a file of captions. Raises InvalidInput for one of no known format."""
    if file.suffix == ".jsonl":
        first = next((row for _, row in json_lines(file) if isinstance(row, dict)), {})
        return imagefolder.read if "file_name" in first else jsonl.read
    if file.suffix == ".csv":
        return imagefolder.read if file.name in imagefolder.FILES else csv.read
    if file.suffix == ".json" and (reader := _json_reader(file)):
        return reader
    if _is_flickr8k(file):
        return flickr8k.read
    raise InvalidInput(f"{str(file)!r} is no file of captions in a known format; docs/import.md lists them")


def _json_reader(file: Path) -> Reader | None:
    try:
        content = read_json(file)
    except InvalidInput:
        return None
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        return None
    if "annotations" in content:
        return coco.read_coco
    return coco.read_karpathy if any("sentences" in image for image in content["images"][:1]) else None


def _is_flickr8k(file: Path) -> bool:
    return file.name.endswith(".token.txt") or flickr8k.is_table(file)


def _is_text_of(file: Incoming, captions: Path, reader: Reader) -> bool:
    """Whether a file is the one with the captions, or one of Flickr8k's lists of splits beside it."""
    if file.source == captions:
        return True
    return reader is flickr8k.read and "/" not in file.path and file.path.endswith(".txt")
