"""COCO captions JSON, and the JSON of Karpathy's splits."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from catalog.errors import InvalidInput
from catalog.imports.rows import (
    BadRow,
    GivenItem,
    Rows,
    by_photo,
    caption,
    metadata,
    photo_path,
    read_json,
    short_text,
)


def read_coco(file: Path, *, captioned_by: str | None = None) -> Rows:
    """A row an image, with the annotations that bear its id. Raises InvalidInput."""
    content = read_json(file)
    try:
        names = {image["id"]: image["file_name"] for image in content["images"]}
        captions: dict[str, list[object]] = {name: [] for name in names.values()}
        for annotation in content["annotations"]:
            captions[names[annotation["image_id"]]].append(annotation["caption"])
    except (KeyError, TypeError) as error:
        raise InvalidInput(f'"{file}" is no COCO captions JSON: {error!r}') from error
    yield from by_photo(file.name, captions, captioned_by=captioned_by)


def read_karpathy(file: Path, *, captioned_by: str | None = None) -> Rows:
    """A row an image; its split is kept as metadata. Raises InvalidInput."""
    content = read_json(file)
    if not isinstance(content, Mapping) or not isinstance(content.get("images"), list):
        raise InvalidInput(f'"{file}" is no Karpathy JSON: it has no list "images"')
    for number, image in enumerate(content["images"]):
        place = f"{file.name}, image {number}"
        try:
            yield _karpathy(place, image, captioned_by)
        except InvalidInput as error:
            yield BadRow(place, str(error))
        except (KeyError, TypeError) as error:
            yield BadRow(place, f"it lacks a key of Karpathy's: {error!r}")


def _karpathy(place: str, image: Mapping[str, Any], captioned_by: str | None) -> GivenItem:
    folder, name = image.get("filepath", ""), image["filename"]
    return GivenItem(
        place=place,
        path=photo_path(f"{folder}/{name}" if folder else name),
        captions=tuple(caption(one["raw"], captioned_by=captioned_by) for one in image["sentences"]),
        external_id=short_text(image.get("cocoid", image.get("imgid")), "cocoid"),
        metadata=metadata({"split": image["split"]} if "split" in image else {}),
    )
