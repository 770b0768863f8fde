"""XMP packets, in both serialisations, and what hostile ones cost."""

import time

import pytest

from pictures.xmp import MAX_BYTES, UnreadableXmp, Value, properties_of

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"


def packet(body, attributes="", encoding="utf-8"):
    text = (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}"><rdf:Description rdf:about=""'
        ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"'
        ' xmlns:plus="http://ns.useplus.org/ldf/xmp/1.0/" xmlns:other="http://example.org/"'
        f' {attributes}>{body}</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    )
    return text.encode(encoding)


def test_elements_and_attributes_say_the_same():
    as_elements = packet("<photoshop:City>Kiel</photoshop:City><dc:source>box 7</dc:source>")
    as_attributes = packet("", 'photoshop:City="Kiel" dc:source="box 7"')
    assert properties_of(as_elements) == properties_of(as_attributes)
    assert properties_of(as_elements) == {
        "photoshop:City": (Value("", "Kiel"),),
        "dc:source": (Value("", "box 7"),),
    }


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ('<dc:rights xml:lang="en">ours</dc:rights>', Value("en", "ours")),
        ('<dc:rights><rdf:Alt><rdf:li xml:lang="de">uns</rdf:li></rdf:Alt></dc:rights>', Value("de", "uns")),
        ('<dc:rights rdf:resource="http://example.org/r"/>', Value("", "http://example.org/r")),
        ('<dc:rights rdf:parseType="Resource"><rdf:value>ours</rdf:value></dc:rights>', Value("", "ours")),
        (
            "<dc:rights><rdf:Description><rdf:value>ours</rdf:value></rdf:Description></dc:rights>",
            Value("", "ours"),
        ),
    ],
)
def test_every_shape_of_a_value_is_read(body, value):
    assert properties_of(packet(body)) == {"dc:rights": (value,)}


def test_lists_and_alternatives_keep_their_order_and_languages():
    body = (
        "<dc:subject><rdf:Bag><rdf:li>boats</rdf:li><rdf:li> </rdf:li><rdf:li>sea</rdf:li></rdf:Bag>"
        "</dc:subject>"
        '<dc:title><rdf:Alt><rdf:li xml:lang="x-default">A</rdf:li><rdf:li xml:lang="fr">B</rdf:li></rdf:Alt>'
        "</dc:title><other:title>passed over</other:title>"
    )
    assert properties_of(packet(body)) == {
        "dc:subject": (Value("", "boats"), Value("", "sea")),
        "dc:title": (Value("x-default", "A"), Value("fr", "B")),
    }


def test_several_descriptions_add_up_and_the_first_of_a_property_counts():
    body = (
        "<dc:source>first</dc:source></rdf:Description>"
        '<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/"'
        ' dc:source="second" dc:format="image/tiff">'
    )
    assert {name: values[0].text for name, values in properties_of(packet(body)).items()} == {
        "dc:source": "first",
        "dc:format": "image/tiff",
    }


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_packets_are_read_in_the_encodings_of_xml(encoding):
    found = properties_of(packet("<dc:source>Mühle 写真</dc:source>", encoding=encoding))
    assert found["dc:source"] == (Value("", "Mühle 写真"),)


def test_padding_around_a_packet_is_no_part_of_it():
    assert properties_of(b"\n \0" + packet("<dc:source>x</dc:source>") + b"\n" * 2000 + b"\0")


ENTITIES = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "ha"}">' for n in range(9))
HOSTILE = {
    "billion laughs": f"<!DOCTYPE x [{ENTITIES}]><x>&a8;</x>".encode(),
    "an external entity": b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>',
    "an external document type": b'<!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd"><x/>',
    "deep nesting": b"<a>" * 500_000 + b"</a>" * 500_000,
    "nesting a bit too deep": b"<a>" * 41 + b"</a>" * 41,
    "wide nesting": b"<a>" + b"<b/>" * 1_000_000 + b"</a>",
    "50 MB": b"<a>" + b"x" * 50_000_000 + b"</a>",
    "no XML": b"hello",
    "nothing": b"",
    "a foreign encoding": b'<?xml version="1.0" encoding="utf-7"?><x/>',
    "an unknown encoding": b'<?xml version="1.0" encoding="klingon"?><x/>',
    "cut off": packet("<dc:source>x</dc:source>")[:-40],
    "an undeclared prefix": packet("<nobody:knows/>"),
    "bytes that are no UTF-8": packet("<dc:source>x</dc:source>").replace(b">x<", b">\xff\xfe<"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_packets_are_refused_in_no_time(name):
    began = time.process_time()
    with pytest.raises(UnreadableXmp):
        properties_of(HOSTILE[name])
    assert time.process_time() - began < 3


def test_a_large_but_honest_packet_is_read():
    edits = "<other:history>" + "<other:edit>x</other:edit>" * 50_000 + "</other:history>"
    data = packet(edits + "<dc:source>x</dc:source>")
    assert 1_000_000 < len(data) < MAX_BYTES
    assert properties_of(data) == {"dc:source": (Value("", "x"),)}
