"""The recipes that ship with the captioner, by name; what they say is the captioner's business."""

import re
from collections.abc import Iterable
from pathlib import Path

from catalog.errors import InvalidInput

FOLDER = Path(__file__).resolve().parent.parent / "model" / "recipes"
OVERRIDE = re.compile(r"(data|encoder|decoder|training|search|text)\.[a-z_0-9]+=[^\n]+")
# They name files, and a worker's disk is nobody's business but its own.
FILES = ("data.word_list", "encoder.weights")
NO_FILES = ("encoder.weights=imagenet", "encoder.weights=none", "data.word_list=")


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def require(name: str) -> None:
    """Raises InvalidInput for a recipe that does not ship."""
    if name not in names():
        raise InvalidInput(f"there is no recipe {name!r}; choose one of {', '.join(names())}")


def require_overrides(overrides: Iterable[str]) -> None:
    """Raises InvalidInput for what is no "table.key=value", and for values that name a file of the worker.

    Whether a recipe has such a key, and may have such a value, is told by the captioner when it begins.
    """
    for text in overrides:
        if not OVERRIDE.fullmatch(text):
            raise InvalidInput(
                f"cannot read {text!r}; write it as table.key=value, such as training.epochs=4"
            )
        if text.startswith(FILES) and text.replace('"', "") not in NO_FILES:
            raise InvalidInput(f"{text!r} names a file, which the workers may not have; leave it out")
