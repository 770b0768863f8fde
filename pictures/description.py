"""What a picture file, and the XMP sidecar beside it, say of the picture: texts, metadata and rights."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pictures.iptc import texts_of
from pictures.languages import UNDETERMINED, alternatives, default_text
from pictures.metadata import JSON, exif_description, exif_metadata, lines, one_line
from pictures.opening import MAX_PIXELS, opened
from pictures.packets import iim_fields, xmp_packet
from pictures.rights import prohibits_training
from pictures.xmp import MAX_BYTES, MAX_CHARACTERS, Properties, UnreadableXmp, Value, properties_of

Kind = Literal["alt", "description"]

MAX_CAPTIONS = 50
MAX_KEYWORDS = 100
KEYWORD_CHARACTERS = 100
METADATA_CHARACTERS = 50_000  # as JSON

_CAPTIONS: dict[str, Kind] = {
    "dc:description": "description",
    "Iptc4xmpCore:ExtDescrAccessibility": "description",
    "Iptc4xmpCore:AltTextAccessibility": "alt",
}
_TEXTS = {
    "dc:title": "title",
    "photoshop:Headline": "headline",
    "photoshop:Credit": "credit",
    "photoshop:Source": "source",
    "photoshop:Instructions": "instructions",
    "photoshop:DateCreated": "date_created",
    "photoshop:City": "city",
    "photoshop:State": "state",
    "photoshop:Country": "country",
    "dc:rights": "copyright",
    "xmpRights:UsageTerms": "usage_terms",
    "xmpRights:WebStatement": "web_statement",
    "plus:OtherConstraints": "other_constraints",
    "plus:DataMining": "data_mining",
}
_LISTS = {"dc:creator": "creator", "dc:subject": "keywords"}

# What cameras and programs write by themselves says nothing of the picture.
_NO_CAPTION = re.compile(
    r"""olympus\ digital\ camera | sony\ dsc | dcim.* | samsung(\ digital\ camera)?
    | (konica\ )?minolta\ digital\ camera
    | kodak.*digital\ still\ camera | (casio|nikon|medion|jenoptik|polaroid|vivitar).*digital\ camera
    | digital\ (still\ )?camera | exif[_ ]jpeg.* | <?digimax.* | created\ with\ (the\ )?gimp
    | lead\ technologies.* | (user|image)?\ ?(comments?|description) | default | untitled | screenshot | ascii
    | ((img|dscn?|dscf|pict|p|pic|image|scan|mvc|hpim|sany|cimg)[-_\ ]?)?[\d_\- ]*(\.(jpe?g|tiff?|png|heic))?
    """,
    re.IGNORECASE | re.VERBOSE,
)


@dataclass(frozen=True)
class EmbeddedCaption:
    """A text that came in the file: `kind` as the catalog has it, `language` a tag of BCP 47."""

    text: str
    language: str
    kind: Kind


@dataclass(frozen=True)
class Description:
    """What is known of a picture beside its pixels. `sidecar_error` says what is wrong with the sidecar."""

    metadata: dict[str, JSON] = field(default_factory=dict)
    rights: str | None = None
    captions: tuple[EmbeddedCaption, ...] = ()
    training_prohibited: bool = False
    notes: tuple[str, ...] = ()
    sidecar_error: str | None = None


def describe(
    source: Path | bytes, *, sidecar: Path | None = None, max_pixels: int = MAX_PIXELS
) -> Description:
    """Read EXIF, IPTC-IIM and XMP. Of one property the sidecar's wins, then XMP's, IPTC's, EXIF's.

    What is unreadable is left out, with a note. Raises PictureError where the picture cannot be opened.
    """
    with opened(source, max_pixels=max_pixels) as image:
        embedded = _read(xmp_packet(image))
        exif, texts = exif_metadata(image), texts_of(iim_fields(image))
        written = exif_description(image)
    beside = _read_file(sidecar) if sidecar else _Packet()
    properties = {**embedded.properties, **beside.properties}
    captions = _captions(properties, _first(texts, "caption"), written)
    metadata = exif | _of_iptc(texts) | _of_xmp(properties) | _left_over(written, captions)
    rights = metadata.get("copyright") or metadata.get("usage_terms")
    data_mining = properties.get("plus:DataMining", ())
    return Description(
        metadata=_bounded(metadata),
        rights=str(rights) if rights else None,
        captions=captions,
        training_prohibited=embedded.unread_no
        or beside.unread_no
        or any(prohibits_training(value.text) for value in data_mining),
        notes=(f"its XMP {embedded.complaint}",) if embedded.complaint else (),
        sidecar_error=beside.complaint,
    )


@dataclass(frozen=True)
class _Packet:
    """A packet as far as it could be read. `unread_no`: it could not, and yet a prohibition is seen in it."""

    properties: Properties = field(default_factory=dict)
    complaint: str | None = None
    unread_no: bool = False


def _read(packet: bytes | None) -> _Packet:
    if packet is None:
        return _Packet()
    try:
        return _Packet(properties_of(packet))
    except UnreadableXmp as error:
        return _Packet(complaint=str(error), unread_no=b"DMI-PROHIBITED" in packet)


def _read_file(sidecar: Path) -> _Packet:
    try:
        with sidecar.open("rb") as file:
            return _read(file.read(MAX_BYTES + 1))
    except OSError as error:
        return _Packet(complaint=f"cannot be read: {error.strerror}")


def _left_over(written: str, captions: tuple[EmbeddedCaption, ...]) -> dict[str, JSON]:
    """EXIF's description where it is none of the captions, so that it is not lost."""
    text = lines(written, MAX_CHARACTERS)
    lost = not _says_nothing(text) and text not in {one.text for one in captions}
    return {"description": text} if lost else {}


def _of_iptc(texts: Mapping[str, list[str]]) -> dict[str, JSON]:
    found: dict[str, JSON] = {}
    for name, values in texts.items():
        if name in _LISTS.values():
            found[name] = _listed(values)
        elif name != "caption":
            found[name] = one_line(values[0])
    return {name: value for name, value in found.items() if value}


def _of_xmp(properties: Properties) -> dict[str, JSON]:
    found: dict[str, JSON] = {}
    for name, key in _TEXTS.items():
        found[key] = one_line(default_text(properties.get(name, ())))
    for name, key in _LISTS.items():
        found[key] = _listed([value.text for value in properties.get(name, ())])
    return {name: value for name, value in found.items() if value}


def _listed(texts: list[str]) -> list[JSON]:
    cleaned = dict.fromkeys(one_line(text, KEYWORD_CHARACTERS) for text in texts)
    kept: list[JSON] = [text for text in cleaned if text]
    return kept[:MAX_KEYWORDS]


def _captions(properties: Properties, iptc: str, exif: str) -> tuple[EmbeddedCaption, ...]:
    """Each text once. IPTC's or else EXIF's stand in for dc:description, in a language that nobody tells."""
    described = {name: properties.get(name, ()) for name in _CAPTIONS}
    if not described["dc:description"]:
        written = [text for text in (iptc, exif) if not _says_nothing(lines(text, MAX_CHARACTERS))]
        described["dc:description"] = tuple(Value("", text) for text in written[:1])
    said: list[EmbeddedCaption] = []
    for name, values in described.items():
        for language, text in alternatives(_cleaned(values)):
            if not any(one.text == text and _may_be_one(one.language, language) for one in said):
                said.append(EmbeddedCaption(text=text, language=language, kind=_CAPTIONS[name]))
    return tuple(said[:MAX_CAPTIONS])


def _cleaned(values: Iterable[Value]) -> list[Value]:
    cleaned = (Value(value.language, lines(value.text, MAX_CHARACTERS)) for value in values)
    return [value for value in cleaned if not _says_nothing(value.text)]


def _may_be_one(language: str, other: str) -> bool:
    return language == other or UNDETERMINED in (language, other)


def _says_nothing(text: str) -> bool:
    return _NO_CAPTION.fullmatch(text) is not None


def _first(texts: Mapping[str, list[str]], name: str) -> str:
    return next(iter(texts.get(name, ())), "")


def _bounded(metadata: dict[str, JSON]) -> dict[str, JSON]:
    """As many fields as fit: more than this nobody meant as a description."""
    kept: dict[str, JSON] = {}
    left = METADATA_CHARACTERS
    for name, value in metadata.items():
        left -= len(json.dumps({name: value}))
        if left >= 0:
            kept[name] = value
    return kept
