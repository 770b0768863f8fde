"""What every export is made of: the items of a collection with all their captions, in order."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, select, tuple_
from sqlalchemy.orm import Session

from catalog.captions import IN_ORDER_OF_FILES
from catalog.schema import Caption, Checkpoint, Collection, Image, Item

ROWS_AT_A_TIME = 500


@dataclass(frozen=True)
class ExportedCaption:
    """`checkpoint` names the captioner of a model's caption, ours or the one it was imported from."""

    text: str
    state: str
    origin: str
    language: str
    kind: str
    version: int
    checkpoint: str | None


@dataclass(frozen=True)
class ExportedItem:
    path: str
    external_id: str | None
    sha256: str
    width: int
    height: int
    rights: str | None
    metadata: dict[str, object]
    state: str
    flagged: bool
    training_prohibited: bool
    captions: tuple[ExportedCaption, ...]


def exported_items(session: Session, collection: Collection) -> Iterator[ExportedItem]:
    """The collection's items in its order, read in pages of ROWS_AT_A_TIME."""
    after = (0, 0)
    while True:
        page = session.execute(
            select(Item, Image)
            .join(Image, Image.id == Item.image_id)
            .where(Item.collection_id == collection.id, _behind(after))
            .order_by(Item.position, Item.id)
            .limit(ROWS_AT_A_TIME)
        ).all()
        captions = _captions(session, [item.id for item, _ in page])
        for item, image in page:
            yield _exported(item, image, captions.get(item.id, []))
        if len(page) < ROWS_AT_A_TIME:
            return
        last = page[-1][0]
        after = (last.position, last.id)
        session.expunge_all()


def _behind(place: tuple[int, int]) -> ColumnElement[bool]:
    return tuple_(Item.position, Item.id) > place


def _captions(session: Session, item_ids: list[int]) -> dict[int, list[ExportedCaption]]:
    found = session.execute(
        select(Caption, Checkpoint.name)
        .outerjoin(Checkpoint, Checkpoint.id == Caption.checkpoint_id)
        .where(Caption.item_id.in_(item_ids))
        .order_by(*IN_ORDER_OF_FILES)
    )
    captions: dict[int, list[ExportedCaption]] = {}
    for caption, checkpoint in found:
        exported = ExportedCaption(
            text=caption.text,
            state=caption.state,
            origin=caption.origin,
            language=caption.language,
            kind=caption.kind,
            version=caption.version,
            checkpoint=checkpoint or caption.model,
        )
        captions.setdefault(caption.item_id, []).append(exported)
    return captions


def _exported(item: Item, image: Image, captions: list[ExportedCaption]) -> ExportedItem:
    return ExportedItem(
        path=item.path,
        external_id=item.external_id,
        sha256=image.sha256,
        width=image.width,
        height=image.height,
        rights=item.rights,
        metadata=item.details,
        state=item.review_state,
        flagged=item.flagged,
        training_prohibited=item.training_prohibited,
        captions=tuple(captions),
    )
