"""From the words a network says to the sentence a person would have typed."""

import re
from collections.abc import Sequence

from model.config import TextConfig

_NO_SPACE_BEFORE = re.compile(r" (?=(?:[.,;:!?%)\]}]|n't\b|'(?:s|m|d|re|ve|ll)\b))")
_NO_SPACE_AFTER = re.compile(r"(?<=[(\[{$#]) ")
_HYPHEN = re.compile(r"(?<=\w) - (?=\w)")
_LONE_I = re.compile(r"\bi\b(?!\.)")


def finish(words: Sequence[str], style: TextConfig) -> str:
    """One sentence with the spacing of ordinary English, its capital and its final stop; "" for no words."""
    text = _NO_SPACE_AFTER.sub("", _NO_SPACE_BEFORE.sub("", _HYPHEN.sub("-", " ".join(words))))
    if not text:
        return ""
    if style.capital:
        text = _LONE_I.sub("I", text)
        text = text[0].upper() + text[1:]
    if style.final_stop and text[-1] not in ".!?":
        text += "."
    return text
