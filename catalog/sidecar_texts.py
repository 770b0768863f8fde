"""What captions become in a file beside their photo: lines of text, or properties of an XMP packet."""

import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from catalog.schema import CaptionKind
from pictures.xmp import MAX_BYTES, Value
from pictures.xmp_writing import with_texts

LONGEST_TXT = 1 << 20  # bytes; what is longer is no text of captions
PROPERTIES: dict[str, str] = {
    CaptionKind.CAPTION: "dc:description",
    CaptionKind.ALT: "Iptc4xmpCore:AltTextAccessibility",
    CaptionKind.DESCRIPTION: "Iptc4xmpCore:ExtDescrAccessibility",
}


class Captioned(Protocol):
    """A caption of the catalog or of a manifest."""

    @property
    def text(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def language(self) -> str: ...


def caption_lines(captions: Iterable[Captioned]) -> bytes:
    """The captions, one a line; alt texts and descriptions are none."""
    lines = [" ".join(one.text.split("\n")) for one in captions if one.kind == CaptionKind.CAPTION]
    return "".join(f"{line}\n" for line in lines).encode()


def xmp_with(packet: bytes | None, captions: Iterable[Captioned]) -> bytes:
    """The packet, or a new one, with one text for each property and language: the first of them.

    Raises UnreadableXmp for a packet that is none.
    """
    texts: dict[str, dict[str, Value]] = {}
    for one in captions:
        texts.setdefault(PROPERTIES[one.kind], {}).setdefault(one.language, Value(one.language, one.text))
    return with_texts(packet, {name: list(values.values()) for name, values in texts.items()})


def read_sidecar(path: Path) -> bytes | None:
    """The sidecar as it is; None where there is none. Raises ValueError for what is no plain, small file."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("is a link or no plain file")
    if found.st_size > (LONGEST_TXT if path.suffix.lower() == ".txt" else MAX_BYTES):
        raise ValueError(f"is too large to be a sidecar: {found.st_size:,} bytes")
    return path.read_bytes()
