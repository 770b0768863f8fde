"""Write texts into an XMP packet, a new one or somebody's, of which all that is not ours stays as it is."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.dom import Node
from xml.dom.minidom import Document, Element
from xml.sax.saxutils import escape, quoteattr

from defusedxml.minidom import parseString

from pictures.languages import DEFAULT, UNDETERMINED
from pictures.xmp import PREFIXES, UnreadableXmp, Value, properties_of, trimmed

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
XML = "http://www.w3.org/XML/1998/namespace"
NAMESPACES = {prefix: namespace for namespace, prefix in PREFIXES.items()}
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
EMPTY = f"""<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="{RDF}">
  <rdf:Description rdf:about=""/>
 </rdf:RDF>
</x:xmpmeta>
""".encode()


def with_texts(packet: bytes | None, texts: Mapping[str, Sequence[Value]]) -> bytes:
    """The packet, or a new one, with these texts, by the customary name of a property: one for each language.

    A property's texts in other languages stay, and so does everything else. A packet that says all of it is
    returned as it is. Raises UnreadableXmp as `properties_of` does, also for texts that no XML can hold.
    """
    said = properties_of(packet) if packet is not None else {}
    wanted = {name: _alternatives(said.get(name, ()), values) for name, values in texts.items() if values}
    missing = {name: values for name, values in wanted.items() if tuple(values) != said.get(name)}
    if packet is not None and not missing:
        return packet
    document = parseString(trimmed(packet or EMPTY), forbid_dtd=True)
    for name, values in missing.items():
        _set(document, name, values)
    declaration = DECLARATION if trimmed(packet or b"").startswith(b"<?xml ") else ""
    made = (declaration + "\n".join(_written(node) for node in document.childNodes) + "\n").encode()
    # Characters that no XML may hold would end the next reader; better to find them now.
    properties_of(made)
    return made


def _alternatives(said: Sequence[Value], values: Sequence[Value]) -> list[Value]:
    """A language alternative: the default, the same text under its language, then the other languages."""
    ours = {value.language.lower(): value for value in values if value.language != UNDETERMINED}
    others = [one for one in said if one.language.lower() not in {"", DEFAULT, *ours}]
    return [Value(DEFAULT, values[0].text), *ours.values(), *others]


def _set(document: Document, name: str, values: Sequence[Value]) -> None:
    prefix, _, local = name.partition(":")
    namespace = NAMESPACES[prefix]
    descriptions = list(_descriptions(document))
    for description in descriptions:
        for element in _children(description, namespace, local):
            description.removeChild(element)
        if description.hasAttributeNS(namespace, local):
            description.removeAttributeNS(namespace, local)
    descriptions[0].appendChild(_property(document, namespace, name, values))


def _descriptions(document: Document) -> Iterator[Element]:
    """The elements that hold the properties, one at least."""
    (rdf, *_) = document.getElementsByTagNameNS(RDF, "RDF") or [None]
    if rdf is None:
        raise UnreadableXmp("has no rdf:RDF; save it anew")
    found = list(_children(rdf, RDF, "Description"))
    if not found:
        found = [document.createElementNS(RDF, "rdf:Description")]
        found[0].setAttribute("xmlns:rdf", RDF)
        found[0].setAttributeNS(RDF, "rdf:about", "")
        rdf.appendChild(found[0])
    yield from found


def _property(document: Document, namespace: str, name: str, values: Sequence[Value]) -> Element:
    # It declares its own prefixes: those of the packet may be others.
    element = document.createElementNS(namespace, name)
    element.setAttribute(f"xmlns:{name.partition(':')[0]}", namespace)
    element.setAttribute("xmlns:rdf", RDF)
    container = element.appendChild(document.createElementNS(RDF, "rdf:Alt"))
    for value in values:
        item = container.appendChild(document.createElementNS(RDF, "rdf:li"))
        item.setAttributeNS(XML, "xml:lang", value.language)
        item.appendChild(document.createTextNode(value.text))
    return element


def _children(parent: Any, namespace: str, local: str) -> list[Any]:
    return [one for one in parent.childNodes if (one.namespaceURI, one.localName) == (namespace, local)]


def _written(node: Any) -> str:
    """A node as XML. `Node.toxml` would lose the ends of lines in attributes."""
    if node.nodeType == Node.ELEMENT_NODE:
        attributes = "".join(f" {name}={quoteattr(value)}" for name, value in node.attributes.items())
        inner = "".join(_written(child) for child in node.childNodes)
        start = f"<{node.tagName}{attributes}"
        return f"{start}>{inner}</{node.tagName}>" if node.childNodes else f"{start}/>"
    if node.nodeType == Node.TEXT_NODE:
        return escape(node.data, {"\r": "&#13;"})
    xml: str = node.toxml()
    return xml
