"""Text as it is stored: what people and files gave, in characters that every database and export can hold."""

import unicodedata

# Control characters and lone surrogates. Format characters stay: scripts and emoji are joined by them.
UNSTORABLE = {"Cc", "Cs"}


def storable(text: str, *, instead: str = "", keep: str = "") -> str:
    """The text with tabs as spaces and `instead` in place of control characters, but for those in `keep`."""
    spaced = text.replace("\t", " ").replace("\r\n", "\n")
    return "".join(
        letter if letter in keep or unicodedata.category(letter) not in UNSTORABLE else instead
        for letter in spaced
    )
