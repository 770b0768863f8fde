"""COCO captions JSON, and the JSON of Karpathy's splits."""

from pathlib import Path
from typing import Any, TypeGuard

from catalog.errors import InvalidInput
from catalog.imports.rows import (
    GivenItem,
    Rows,
    by_photo,
    caption,
    given_items,
    metadata,
    photo_path,
    read_json,
    short_text,
)


def read(file: Path, *, captioned_by: str | None = None) -> Rows:
    """A row an image: the captions of COCO's annotations, or Karpathy's sentences. Raises InvalidInput."""
    content = read_json(file)
    if not _has_images(content):
        raise InvalidInput(f'"{file}" has no captions of images; docs/import.md lists the formats')
    if "annotations" in content:
        return by_photo(file.name, _annotations(file, content), captioned_by=captioned_by)
    images = ((f"{file.name}, image {number}", image) for number, image in enumerate(content["images"]))
    return given_items(images, lambda place, image: _karpathy(place, image, captioned_by))


def has_captions(file: Path) -> bool:
    """Whether a JSON is one of the two."""
    try:
        content = read_json(file)
    except InvalidInput:
        return False
    if not _has_images(content):
        return False
    first = next(iter(content["images"]), None)
    return "annotations" in content or (isinstance(first, dict) and "sentences" in first)


def _has_images(content: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(content, dict) and isinstance(content.get("images"), list)


def _annotations(file: Path, content: dict[str, Any]) -> dict[str, list[object]]:
    try:
        names = {image["id"]: image["file_name"] for image in content["images"]}
        captions: dict[str, list[object]] = {name: [] for name in names.values()}
        for annotation in content["annotations"]:
            captions[names[annotation["image_id"]]].append(annotation["caption"])
    except (KeyError, TypeError) as error:
        raise InvalidInput(f'"{file}" is no COCO captions JSON: {error!r}') from error
    return captions


def _karpathy(place: str, image: Any, captioned_by: str | None) -> GivenItem:
    """One of Karpathy's images; its split is kept as metadata."""
    try:
        folder, name = image.get("filepath", ""), image["filename"]
        sentences = [sentence["raw"] for sentence in image["sentences"]]
    except (AttributeError, KeyError, TypeError) as error:
        raise InvalidInput(f"it lacks a key of Karpathy's: {error!r}") from error
    return GivenItem(
        place=place,
        path=photo_path(f"{folder}/{name}" if folder else name),
        captions=tuple(caption(text, captioned_by=captioned_by) for text in sentences),
        external_id=short_text(image.get("cocoid", image.get("imgid")), "cocoid"),
        metadata=metadata({"split": image["split"]} if "split" in image else {}),
    )
