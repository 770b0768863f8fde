"""What arrives: photos of a folder, zip or bucket, with the file of captions among them, in any format."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from catalog.errors import InvalidInput
from catalog.imports import coco, csv, flickr8k, imagefolder, jsonl, sidecars, urls, xmp_sidecars
from catalog.imports.archive import Member, members_of
from catalog.imports.bucket import objects_of
from catalog.imports.fetching import Fetcher
from catalog.imports.rows import BadRow, GivenItem, Rows, json_lines, sum_of
from catalog.ingest import FileReport, Incoming, pictures_of
from catalog.object_storage import Bucket
from pictures.errors import PictureError

Reader = Callable[..., Rows]

MISSING = "missing"
# A file of captions is read as a whole; COCO's for 120,000 photos has 90 MiB.
LONGEST_CAPTIONS = 256 << 20  # bytes


@dataclass(frozen=True)
class Arrival:
    """Files to import, in order, and a report for whatever is none of them: bad rows, lost photos."""

    files: Sequence[Incoming]
    left_out: Sequence[FileReport]


def arriving(
    source: Path | Bucket,
    *,
    staging: Path,
    captions: Path | None = None,
    captioned_by: str | None = None,
    reference: bool = False,
    fetcher: Fetcher | None = None,
) -> Arrival:
    """The photos of a file, folder, zip or bucket, each with what comes along, in the captions' order.

    Without `captions` the file is looked for among the photos. `captioned_by` names the model whose captions
    they are where the format cannot tell; otherwise they are people's. Members of a zip are unpacked, and
    objects of a bucket fetched, one by one into the folder `staging`. With `reference` the photos are left
    where they are, which only files and folders of this disk can be. The photos of a list of URLs come
    through `fetcher`, one by one. Raises InvalidInput.
    """
    files: Sequence[Incoming]
    left_out: Sequence[FileReport] = ()
    if isinstance(source, Bucket):
        files = objects_of(source, staging)
    elif source.is_file() and is_zip(source):
        files, left_out = members_of(source, staging)
    elif source.is_file() and urls.is_list(source):
        if fetcher is None:
            raise InvalidInput(
                f"{str(source)!r} lists URLs, and none are fetched here: set RECAPTION_URL_IMPORTS to the "
                "hosts that may be asked, such as `images.example.org *.example.com`, or to `on` for all"
            )
        if captions or reference:
            raise InvalidInput(
                f"{str(source)!r} lists URLs: its photos are fetched and stored, with the captions in it; "
                "leave out --reference and --captions"
            )
        return Arrival(*urls.photos_of(source, fetcher=fetcher, staging=staging, captioned_by=captioned_by))
    elif captions and not source.is_dir():
        raise InvalidInput(f"{str(source)!r} is no folder; captions of {captions.name} need one")
    else:
        files = pictures_of(source)
    if reference:
        files = _left_in_place(files, source)
    arrival = with_captions(files, captions, captioned_by)
    return Arrival(arrival.files, [*left_out, *arrival.left_out])


def is_zip(file: Path) -> bool:
    """Whether a file is to be unpacked, by its name."""
    return file.suffix.lower() == ".zip"


def _left_in_place(files: Sequence[Incoming], source: Path | Bucket) -> list[Incoming]:
    """The files, to be referred to. What has to be unpacked or fetched first lies nowhere afterwards."""
    if any(type(file) is not Incoming for file in files):
        raise InvalidInput(
            f"{str(source)!r} is no file or folder of photos on this disk, and so its photos cannot be left "
            "where they are; put them into a folder and name that, or import them without --reference"
        )
    return [replace(file, referenced=True) for file in files]


def with_captions(
    files: Sequence[Incoming], captions: Path | None = None, captioned_by: str | None = None
) -> Arrival:
    """Files with their sidecars and the captions among them, or of a file that is named.

    Raises InvalidInput.
    """
    files, lonely = xmp_sidecars.joined(files)
    arrival = _with_texts(files, captions, captioned_by)
    return Arrival(arrival.files, [*map(_lonely, lonely), *arrival.left_out])


def _lonely(sidecar: Incoming) -> FileReport:
    detail = f"{sidecar.path} is used by no photo: none of its name lies beside it without another sidecar"
    return FileReport(sidecar.path, MISSING, None, detail)


def _with_texts(files: Sequence[Incoming], captions: Path | None, captioned_by: str | None) -> Arrival:
    known = Incoming(captions, captions.name) if captions else _captions_among(files)
    by_path = {file.path: file for file in files}
    if known is None:
        texts = sidecars.beside(by_path)
        rows = sidecars.read(by_path, texts, captioned_by=captioned_by)
        unread = set(texts.values())
        return _joined([file for file in files if file.path not in unread], rows)
    with known.local() as path:
        _refuse_too_long(known, path)
        reader = _reader(path)
        photos = [file for file in files if not _is_text_of(file, known, reader)]
        return _joined(photos, reader(path, captioned_by=captioned_by))


def _joined(files: Sequence[Incoming], rows: Rows) -> Arrival:
    """Files with the rows that name them, first those that are named."""
    places = _Places(file.path for file in files)
    given: dict[str, GivenItem] = {}
    left_out = []
    for row in rows:
        if isinstance(row, BadRow):
            left_out.append(FileReport(row.place, "refused", None, row.reason))
        elif (path := places.of(row.path)) is None:
            detail = f"{row.place} has captions of it, but there is no such photo among what was imported"
            left_out.append(FileReport(row.path, MISSING, None, detail))
        else:
            given[path] = sum_of(given[path], row) if path in given else row
    by_path: dict[str, list[Incoming]] = {}
    for file in files:
        by_path.setdefault(file.path, []).append(file)
    named = [replace(file, given=row) for path, row in given.items() for file in by_path[path]]
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


def _captions_among(files: Sequence[Incoming]) -> Incoming | None:
    """The file of captions at the top of what arrives. Raises InvalidInput when there are several."""
    top = {file.path: file for file in files if "/" not in file.path}
    names = (jsonl.FILE, csv.FILE, *imagefolder.FILES, *flickr8k.FILES)
    found = [top[name] for name in names if name in top and _has_captions(top[name])]
    found += [file for name, file in sorted(top.items()) if name.endswith(".json") and _has_captions(file)]
    if len(found) > 1:
        listed = ", ".join(file.path for file in found)
        raise InvalidInput(f"there are several files of captions ({listed}); name one: --captions")
    return found[0] if found else None


def _has_captions(file: Incoming) -> bool:
    """Whether a file of a promising name is what its name says."""
    try:
        with file.local() as path:
            if path.suffix == ".json":
                _refuse_too_long(file, path)
                return coco.has_captions(path)
            return path.suffix != ".txt" or _is_flickr8k(path)
    except PictureError:  # It cannot be unpacked, and so its report will say.
        return False


def _refuse_too_long(file: Incoming, local: Path) -> None:
    length = local.stat().st_size
    if length > LONGEST_CAPTIONS:
        raise InvalidInput(
            f"{file.path} has {length >> 20} MiB; captions are read from files of up to "
            f"{LONGEST_CAPTIONS >> 20} MiB, so split it"
        )


def _reader(file: Path) -> Reader:
    """The reader of a file of captions. Raises InvalidInput for one of no known format."""
    if file.suffix == ".jsonl":
        first = next((row for _, row in json_lines(file) if isinstance(row, dict)), {})
        return imagefolder.read if "file_name" in first else jsonl.read
    if file.suffix == ".csv":
        return imagefolder.read if file.name in imagefolder.FILES else csv.read
    if file.suffix == ".json":
        return coco.read
    if _is_flickr8k(file):
        return flickr8k.read
    raise InvalidInput(f"{str(file)!r} is no file of captions in a known format; docs/import.md lists them")


def _is_flickr8k(file: Path) -> bool:
    return file.name.endswith(".token.txt") or flickr8k.is_table(file)


def _is_text_of(file: Incoming, captions: Incoming, reader: Reader) -> bool:
    """Whether a file is the one with the captions, or one of Flickr8k's lists of splits beside it."""
    same_file = file.source.absolute() == captions.source.absolute()
    if same_file and (file.path == captions.path or not isinstance(file, Member)):
        return True
    return reader is flickr8k.read and "/" not in file.path and file.path.endswith(".txt")
