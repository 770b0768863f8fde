"""Pictures with blocks of metadata in them, as other programs write them."""

import struct

from PIL import TiffImagePlugin
from PIL.PngImagePlugin import PngInfo

HEAD = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/"'
    ' xmlns:Iptc4xmpCore="http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/"'
    ' xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"'
    ' xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/" xmlns:plus="http://ns.useplus.org/ldf/xmp/1.0/">'
)
TAIL = "</rdf:Description></rdf:RDF></x:xmpmeta>"


def xmp(body):
    return (HEAD + body + TAIL).encode()


def alt(name, **texts):
    items = "".join(
        f'<rdf:li xml:lang="{lang.replace("_", "-")}">{text}</rdf:li>' for lang, text in texts.items()
    )
    return f"<{name}><rdf:Alt>{items}</rdf:Alt></{name}>"


def iim(*datasets):
    return b"".join(struct.pack(">BBBH", 0x1C, *tag, len(value)) + value for tag, value in datasets)


def with_xmp(scene, encode, name, packet):
    """The scene in a format, with a packet where that format keeps it."""
    if name == "TIFF":
        return encode(scene, name, tiffinfo={700: packet})
    if name == "PNG":
        chunks = PngInfo()
        chunks.add_itxt("XML:com.adobe.xmp", packet.decode())
        return encode(scene, name, pnginfo=chunks)
    if name == "GIF":
        data = encode(scene, name)
        place = 13 + 3 * 2 ** ((data[10] & 7) + 1)
        trailer = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
        return data[:place] + b"\x21\xff\x0bXMP DataXMP" + packet + trailer + data[place:]
    if name == "JPEG2000":
        body = bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + packet
        return encode(scene, name) + struct.pack(">I", len(body) + 8) + b"uuid" + body
    return encode(scene, name, xmp=packet)


def with_iim(scene, encode, name, block, **options):
    if name == "TIFF":
        info = TiffImagePlugin.ImageFileDirectory_v2()
        info[33723] = block
        info.tagtype[33723] = 7
        return encode(scene, name, tiffinfo=info, **options)
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(block)) + block + b"\0" * (len(block) % 2)
    body = b"Photoshop 3.0\0" + resource
    jpeg = encode(scene, "JPEG", **options)
    return jpeg[:2] + b"\xff\xed" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]
