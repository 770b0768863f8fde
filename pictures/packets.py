"""Find the XMP packet and the IPTC-IIM fields in a picture file of any accepted format."""

import os
from typing import BinaryIO

from PIL.Image import Image
from PIL.ImageFile import ImageFile
from PIL.IptcImagePlugin import getiptcinfo

from pictures.xmp import MAX_BYTES

# ISO 15444-1, annex I: boxes of a length and a kind; XMP lies in one of kind "uuid" with this identity.
_JPEG2000_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_MAX_BOXES = 1000
# The XMP specification, part 3: GIF holds the bare packet in an application extension, and behind it a
# trailer that leads readers of sub-blocks out again.
_GIF_XMP = b"\x21\xff\x0bXMP DataXMP"
_GIF_TRAILER = b"\x01\xff\xfe\xfd"
_GIF_SEARCHED = 16 << 20  # bytes

IIMFields = dict[tuple[int, int], list[bytes]]


def xmp_packet(image: ImageFile) -> bytes | None:
    """The packet as it lies in the file, unchecked; None where there is none."""
    if image.format == "JPEG2000":
        return _in_boxes(_file(image))
    if image.format == "GIF":
        return _in_gif(_file(image))
    packet: object = image.info.get("xmp")
    if isinstance(packet, str):
        return packet.encode("utf-8", errors="replace")
    if isinstance(packet, tuple):
        return bytes(number & 0xFF for number in packet if isinstance(number, int))
    return packet if isinstance(packet, bytes) and packet else None


def iim_fields(image: Image) -> IIMFields:
    """The IPTC-IIM datasets by record and number, each with its values in order; {} where they are broken."""
    try:
        fields = getiptcinfo(image) if isinstance(image, ImageFile) else None
    except Exception:  # As with EXIF: a broken block says nothing about the pixels.
        return {}
    listed = {tag: value if isinstance(value, list) else [value] for tag, value in (fields or {}).items()}
    return {tag: [one for one in values if isinstance(one, bytes)] for tag, values in listed.items()}


def _file(image: ImageFile) -> BinaryIO:
    file: BinaryIO = image.fp  # type: ignore[assignment]
    file.seek(0)
    return file


def _in_boxes(file: BinaryIO) -> bytes | None:
    end = file.seek(0, os.SEEK_END)
    start = 0
    for _ in range(_MAX_BOXES):
        file.seek(start)
        head = file.read(32)
        length, header = int.from_bytes(head[:4], "big"), 8
        if length == 1:
            length, header = int.from_bytes(head[8:16], "big"), 16
        length = length or end - start
        if len(head) < header or length < header:
            return None
        if head[4:8] == b"uuid" and head[header : header + 16] == _JPEG2000_XMP:
            file.seek(start + header + 16)
            return file.read(min(length - header - 16, MAX_BYTES + 1)) if length > header + 16 else None
        start += length
    return None


def _in_gif(file: BinaryIO) -> bytes | None:
    data = file.read(_GIF_SEARCHED)
    start = data.find(_GIF_XMP)
    if start < 0:
        return None
    start += len(_GIF_XMP)
    end = data.find(_GIF_TRAILER, start)
    return data[start:end] if end > start else None
