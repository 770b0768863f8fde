"""Write back: captions as a text or an XMP sidecar beside originals that were left where they are."""

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from itertools import count
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog.captions import IN_ORDER
from catalog.originals import trouble
from catalog.schema import Caption, CaptionState, Collection, Image, Item
from catalog.sidecar_texts import caption_lines, read_sidecar, xmp_with

FORMATS = ("txt", "xmp")
ITEMS_AT_A_TIME = 500


@dataclass(frozen=True)
class Planned:
    """What a sidecar holds, None where there is none, and what it is to hold; `original` is its photo."""

    path: Path
    original: Path
    before: bytes | None
    after: bytes

    @property
    def changes(self) -> bool:
        return self.before != self.after

    def difference(self) -> str:
        """The change as a unified difference."""
        old, new = ((data or b"").decode(errors="replace").splitlines() for data in (self.before, self.after))
        name = str(self.path)
        return "\n".join(
            unified_diff(old, new, name if self.before is not None else os.devnull, name, lineterm="")
        )


@dataclass(frozen=True)
class Refused:
    """A file beside which nothing can be written, and why."""

    path: Path
    why: str


@dataclass(frozen=True)
class _Photo:
    reference: Path
    image: Image
    captions: tuple[Caption, ...]


def plan(
    session: Session,
    collection: Collection,
    *,
    format: str,
    state: CaptionState = CaptionState.ACCEPTED,
) -> Iterator[Planned | Refused]:
    """What is to be written beside each original of a collection that was left and has captions of the state.

    Reads the sidecars that there are, and writes nothing.
    """
    names = _shared_names(session, collection)
    seen: set[Path] = set()
    for photo in _photos(session, collection, state):
        try:
            planned = _planned(photo, format, alone=names[_without_suffix(photo.reference)] == 1)
        except OSError as error:
            yield Refused(photo.reference, f"cannot be read: {error.strerror or error}")
        except ValueError as error:
            yield Refused(photo.reference, str(error))
        else:
            if planned and planned.path in seen:
                yield Refused(photo.reference, f"{planned.path.name} is written for another photo")
            elif planned:
                seen.add(planned.path)
                yield planned


def write(planned: Planned) -> Path | None:
    """Put a sidecar into its place in one step; returns where the one that it replaces is kept.

    Raises OSError, with the sidecar as it was.
    """
    staged = _staged(planned)
    try:
        kept = _kept(planned) if planned.before is not None else None
        os.replace(staged, planned.path)
    finally:
        staged.unlink(missing_ok=True)
    return kept


def _photos(session: Session, collection: Collection, state: CaptionState) -> Iterator[_Photo]:
    """The collection's items that refer to a file and have captions of the state."""
    after = 0
    while True:
        page = session.execute(
            select(Item.id, Item.reference, Image)
            .join(Image, Image.id == Item.image_id)
            .where(Item.collection_id == collection.id, Item.reference.is_not(None), Item.id > after)
            .order_by(Item.id)
            .limit(ITEMS_AT_A_TIME)
        ).all()
        captions: dict[int, list[Caption]] = {}
        ids = [row.id for row in page]
        wanted = select(Caption).where(Caption.item_id.in_(ids), Caption.state == state)
        for caption in session.scalars(wanted.order_by(Caption.item_id, *IN_ORDER)):
            captions.setdefault(caption.item_id, []).append(caption)
        for item_id, reference, image in page:
            if item_id in captions and reference:
                yield _Photo(Path(reference), image, tuple(captions[item_id]))
        if len(page) < ITEMS_AT_A_TIME:
            return
        after = page[-1].id


def _shared_names(session: Session, collection: Collection) -> Counter[str]:
    """How many originals share a name but for its ending: pier.jpg and pier.tif cannot share pier.txt."""
    query = select(Item.reference).where(Item.collection_id == collection.id, Item.reference.is_not(None))
    references = {reference for reference in session.scalars(query) if reference}
    return Counter(_without_suffix(Path(reference)) for reference in references)


def _without_suffix(path: Path) -> str:
    return str(path.with_suffix("")).casefold()


def _planned(photo: _Photo, format: str, *, alone: bool) -> Planned | None:
    """Raises ValueError with what is wrong with the original or its sidecar."""
    if photo.reference.is_symlink():
        raise ValueError("is a link; only plain files are written beside")
    if wrong := trouble(str(photo.reference), photo.image, every_byte=False):
        raise ValueError(f"{wrong}, and nothing is written beside it")
    path = _sidecar(photo.reference, format, alone=alone)
    try:
        before = read_sidecar(path)
        after = caption_lines(photo.captions) if format == "txt" else xmp_with(before, photo.captions)
    except ValueError as error:
        raise ValueError(f"{path.name} beside it {error}") from error
    return Planned(path, photo.reference, before, after) if after else None


def _sidecar(original: Path, format: str, *, alone: bool) -> Path:
    """The file that an import would read, or a new one, of the long name where others share the short."""
    long, short = original.with_name(f"{original.name}.{format}"), original.with_suffix(f".{format}")
    names = [long, *([short] if alone else [])]
    there = [path for name in names for path in _either_case(name) if os.path.lexists(path)]
    return there[0] if there else names[-1]


def _either_case(path: Path) -> tuple[Path, Path]:
    return path, path.with_suffix(path.suffix.upper())


def _staged(planned: Planned) -> Path:
    """The new sidecar under another name in the same folder, flushed, as readable as what it stands for."""
    folder = planned.path.parent
    descriptor, name = tempfile.mkstemp(prefix=f".{planned.path.name}.", dir=folder)
    staged = Path(name)
    try:
        like = planned.path if planned.before is not None else planned.original
        with os.fdopen(descriptor, "wb") as file:
            file.write(planned.after)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), like.stat().st_mode & 0o666)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise
    return staged


def _kept(planned: Planned) -> Path:
    """A copy of what is replaced, under the first free name: pier.txt.~1~, pier.txt.~2~ and so on."""
    for number in count(1):
        copy = planned.path.with_name(f"{planned.path.name}.~{number}~")
        try:
            file = copy.open("xb")
        except FileExistsError:
            continue
        try:
            with file:
                file.write(planned.before or b"")
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            copy.unlink(missing_ok=True)
            raise
        return copy
    raise AssertionError("numbers do not end")
