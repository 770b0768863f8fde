"""Read the texts of IPTC-IIM fields, whatever encoding their writer had in mind."""

from collections.abc import Mapping, Sequence

# IPTC-IIM 4.2, with the names that the IPTC Photo Metadata Standard gives the same properties.
DATASETS = {
    (2, 5): "title",
    (2, 25): "keywords",
    (2, 40): "instructions",
    (2, 55): "date_created",
    (2, 80): "creator",
    (2, 90): "city",
    (2, 95): "state",
    (2, 101): "country",
    (2, 105): "headline",
    (2, 110): "credit",
    (2, 115): "source",
    (2, 116): "copyright",
    (2, 120): "caption",
}

_CHARACTER_SET = (1, 90)
# ISO 2022 escape sequences, as far as they are met with in photographs.
_ENCODINGS = {b"\x1b%G": "utf-8", b"\x1b%/I": "utf-8", b"\x1b.A": "latin-1", b"\x1b-A": "latin-1"}


def texts_of(fields: Mapping[tuple[int, int], Sequence[bytes]]) -> dict[str, list[str]]:
    """The texts of each of DATASETS that is there.

    Without a declared character set, bytes that are no UTF-8 are taken for Windows-1252.
    """
    escape = next(iter(fields.get(_CHARACTER_SET, ())), b"").strip()
    encodings = [_ENCODINGS[escape]] if escape in _ENCODINGS else ["utf-8", "cp1252"]
    return {
        name: [_decoded(value, encodings) for value in fields[dataset]]
        for dataset, name in DATASETS.items()
        if fields.get(dataset)
    }


def _decoded(value: bytes, encodings: Sequence[str]) -> str:
    for encoding in encodings:
        try:
            return value.decode(encoding)
        except UnicodeError:
            continue
    return value.decode("latin-1" if len(encodings) > 1 else encodings[0], errors="replace")
