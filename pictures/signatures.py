"""Tell from its first bytes what a file is, for error messages only: nothing is accepted on this evidence."""

import re

HEAD_BYTES = 4096
HEIC = "a HEIC picture"

ACCEPTED: dict[str, re.Pattern[bytes]] = {
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "GIF": re.compile(rb"GIF8[79]a"),
    "TIFF": re.compile(rb"II[*+]\0|MM\0[*+]"),
    "WebP": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "AVIF": re.compile(rb"....ftypavi[fs]", re.DOTALL),
    "JPEG 2000": re.compile(rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"),
}

FOREIGN: dict[str, re.Pattern[bytes]] = {
    "a zip archive": re.compile(rb"PK(\x03\x04|\x05\x06|\x07\x08)"),
    "a gzip archive": re.compile(rb"\x1f\x8b"),
    "a 7z archive": re.compile(rb"7z\xbc\xaf\x27\x1c"),
    "a RAR archive": re.compile(rb"Rar!\x1a\x07"),
    "a PDF document": re.compile(rb"%PDF-"),
    HEIC: re.compile(rb"....ftyp(hei[cmsx]|hev[cmx]|mif1|msf1)", re.DOTALL),
    "a video": re.compile(rb"....ftyp|RIFF....AVI |\x1a\x45\xdf\xa3", re.DOTALL),
    "a BMP picture": re.compile(rb"BM....\0\0\0\0", re.DOTALL),
    "a Photoshop document": re.compile(rb"8BPS"),
    "a program": re.compile(rb"\x7fELF|MZ|\xcf\xfa\xed\xfe"),
    "an SVG drawing": re.compile(rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?<svg", re.IGNORECASE | re.DOTALL),
    "a web page": re.compile(rb"\s*<(!doctype html|html)", re.IGNORECASE),
    "an XML document": re.compile(rb"\s*<\?xml", re.IGNORECASE),
}

CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")


def accepted_format(head: bytes) -> str | None:
    """Name the accepted picture format that these first bytes announce."""
    return next((name for name, pattern in ACCEPTED.items() if pattern.match(head)), None)


def describe(head: bytes) -> str:
    """Say with its article what a file that is no accepted picture looks like, e.g. "a zip archive"."""
    for name, pattern in FOREIGN.items():
        if pattern.match(head):
            return name
    if not head.strip(b"\0"):
        return "a file of zero bytes only, as a broken copy leaves it"
    return "a text file" if _is_text(head) else "a file of an unknown kind"


def _is_text(head: bytes) -> bool:
    # The head may end in the middle of a character, so its last bytes are allowed to be undecodable.
    text = head.decode("utf-8", errors="replace")
    return "\ufffd" not in text[:-3] and not CONTROL_CHARACTERS.search(text)
