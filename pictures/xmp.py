"""Read the properties of an XMP packet, as archives describe their pictures with them, from untrusted XML."""

import codecs
from collections.abc import Iterator
from io import BytesIO
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

MAX_BYTES = 4 << 20
MAX_DEPTH = 40
MAX_ELEMENTS = 100_000
MAX_VALUES = 200  # of a property
MAX_CHARACTERS = 10_000  # of a value

PREFIXES = {
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/": "Iptc4xmpCore",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "http://ns.adobe.com/xap/1.0/rights/": "xmpRights",
    "http://ns.useplus.org/ldf/xmp/1.0/": "plus",
}

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_CONTAINERS = {f"{_RDF}{name}" for name in ("Alt", "Bag", "Seq")}
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Value(NamedTuple):
    """One text of a property; `language` is its xml:lang, often "x-default", or "" where there is none."""

    language: str
    text: str


Properties = dict[str, tuple[Value, ...]]
"""Values by the property's customary name, such as "dc:description"."""


class UnreadableXmp(ValueError):
    """The packet is no XMP, or larger or deeper than an honest one."""


def properties_of(packet: bytes) -> Properties:
    """The properties of the namespaces in PREFIXES, in either serialisation of RDF: elements and attributes.

    Follows the XMP specification, part 1 (ISO 16684-1). Document types, and with them entities, are refused.
    Raises UnreadableXmp, whose message goes on where a name stands in front.
    """
    if len(packet) > MAX_BYTES:
        raise UnreadableXmp(f"is {len(packet):,} bytes long; the limit is {MAX_BYTES:,}")
    try:
        return _gathered(trimmed(packet))
    except DefusedXmlException as error:
        raise UnreadableXmp("declares a document type, which XMP has no use for; save it anew") from error
    except (ParseError, ValueError, LookupError) as error:
        raise error if isinstance(error, UnreadableXmp) else UnreadableXmp(f"is no XML: {error}") from error


def trimmed(packet: bytes) -> bytes:
    """The packet without the padding around it."""
    return packet if packet.startswith(_UTF16) else packet.strip(b"\0\t\r\n ")


def _gathered(packet: bytes) -> Properties:
    found: Properties = {}
    path: list[Element] = []
    count = 0
    for event, element in iterparse(BytesIO(packet), events=("start", "end"), forbid_dtd=True):
        if event == "start":
            path.append(element)
            count += 1
            if len(path) > MAX_DEPTH or count > MAX_ELEMENTS:
                raise UnreadableXmp(f"has more than {MAX_DEPTH} levels or {MAX_ELEMENTS:,} elements")
            continue
        path.pop()
        above = [one.tag for one in path[-2:]]
        if above[:-1] == [f"{_RDF}RDF"]:
            _keep(found, element.tag, _values(element))
        if above[-1:] == [f"{_RDF}RDF"]:
            for name, text in element.attrib.items():
                _keep(found, name, [Value("", text[:MAX_CHARACTERS])])
        if f"{_RDF}RDF" in above:
            # What was read is let go of, or a large packet would be held whole.
            path[-1].remove(element)
    return found


def _keep(found: Properties, tag: str, values: list[Value]) -> None:
    namespace, _, name = tag.removeprefix("{").partition("}")
    prefix = PREFIXES.get(namespace)
    kept = tuple(value for value in values if value.text.strip())[:MAX_VALUES]
    if prefix and kept:
        found.setdefault(f"{prefix}:{name}", kept)


def _values(element: Element) -> list[Value]:
    """What one property says: the items of its container, or its own text."""
    inner = next(iter(element), None)
    if inner is not None and inner.tag in _CONTAINERS:
        return [_value(item) for item in inner]
    return [_value(element)]


def _value(element: Element) -> Value:
    """An item or a simple property: a text, a reference, or a text with qualifiers beside it."""
    return Value(_first(_languages(element)), _first(_texts(element))[:MAX_CHARACTERS])


def _texts(element: Element) -> Iterator[Any]:
    yield element.get(f"{_RDF}resource")
    yield element.text
    yield element.findtext(f"{_RDF}value")
    yield element.findtext(f"{_RDF}Description/{_RDF}value")


def _languages(element: Element) -> Iterator[Any]:
    yield element.get(_LANGUAGE)
    yield element.findtext(_LANGUAGE)


def _first(candidates: Iterator[Any]) -> str:
    return next((text for text in candidates if text and text.strip()), "")
