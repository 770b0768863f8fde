"""Regressions: the photos on which a checkpoint does worse than another one, with what both wrote."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog import manifests
from catalog.blind_items import still_blind
from catalog.blobs import BlobStore
from catalog.manifests import FrozenItem
from catalog.schema import Comparison, Dataset, Evaluation, User

SHOWN = 12  # photos


@dataclass(frozen=True)
class Predicted:
    """What a checkpoint wrote for a photo of a set, and its CIDEr-D."""

    sha256: str
    caption: str
    cider: float


@dataclass(frozen=True)
class Regression:
    """A photo on which the candidate scores lower; `drop` is of CIDEr-D, above 0. Its item may be gone."""

    item_id: int
    path: str
    sha256: str
    before: str
    after: str
    references: tuple[str, ...]
    drop: float


def worst(
    session: Session,
    blobs: BlobStore,
    comparison: Comparison,
    *,
    limit: int = SHOWN,
    viewer: User | None = None,
) -> list[Regression]:
    """The photos on which the candidate's CIDEr-D falls furthest behind, the worst first.

    Whoever calls has made sure that the viewer may see the dataset. Photos that they still have to caption
    blind are left out. Raises MissingBlob and DamagedManifest.
    """
    before, after = (
        _predictions(session, blobs, comparison, checkpoint_id)
        for checkpoint_id in (comparison.against_id, comparison.candidate_id)
    )
    drops = {key: before[key].cider - one.cider for key, one in after.items() if key in before}
    furthest = sorted((key for key in drops if drops[key] > 0), key=lambda key: (-drops[key], key))[:limit]
    items = _items(session, blobs, comparison, set(furthest))
    blind = still_blind(session, [item.item_id for item in items.values()], viewer)
    items = {key: item for key, item in items.items() if item.item_id not in blind}
    return [_regression(items[key], before[key], after[key]) for key in furthest if key in items]


def to_lines(predictions: Iterable[Predicted]) -> bytes:
    """Predictions as the bytes of their blob: a line of JSON a photo."""
    return "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in predictions).encode()


def predictions(blobs: BlobStore, key: str) -> dict[str, Predicted]:
    """Predictions from their blob, by the hash of the photo. Raises MissingBlob."""
    # Not splitlines: captions may hold other characters that end lines.
    lines = blobs.read(key).decode().rstrip("\n").split("\n")
    return {one.sha256: one for one in (Predicted(**json.loads(line)) for line in lines)}


def _regression(item: FrozenItem, before: Predicted, after: Predicted) -> Regression:
    return Regression(
        item_id=item.item_id,
        path=item.path,
        sha256=item.sha256,
        before=before.caption,
        after=after.caption,
        references=tuple(caption.text for caption in item.captions),
        drop=before.cider - after.cider,
    )


def _predictions(
    session: Session, blobs: BlobStore, comparison: Comparison, checkpoint_id: int
) -> dict[str, Predicted]:
    key = session.scalar(
        select(Evaluation.predictions_sha256).where(
            Evaluation.checkpoint_id == checkpoint_id,
            Evaluation.dataset_id == comparison.dataset_id,
            Evaluation.split == comparison.split,
        )
    )
    return predictions(blobs, key) if key else {}


def _items(
    session: Session, blobs: BlobStore, comparison: Comparison, wanted: set[str]
) -> dict[str, FrozenItem]:
    dataset = session.get_one(Dataset, comparison.dataset_id)
    _, items = manifests.read(blobs, dataset.manifest_sha256)
    return {item.sha256: item for item in items if item.sha256 in wanted}
