"""Language alternatives of XMP: one text in several languages, of which one is the default."""

import re
from collections.abc import Iterable, Sequence

from pictures.xmp import Value

DEFAULT = "x-default"
UNDETERMINED = "und"
"""BCP 47's tag for a text of which nobody says in what language it is."""

_TAG = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_LONGEST_TAG = 35  # characters


def alternatives(values: Iterable[Value]) -> list[Value]:
    """Each text once under its language. The default's is that of the same text under a name, else unknown.

    XMP specification, part 1, 8.2.2.4: writers repeat the default text under its language.
    """
    named: list[Value] = []
    for value in values:
        language = _tag(value.language)
        same = [one for one in named if one.text == value.text]
        if not same or (language != UNDETERMINED and all(one.language != language for one in same)):
            # A name says more than none.
            named = [one for one in named if one not in same or one.language != UNDETERMINED]
            named.append(Value(language, value.text))
    return named


def default_text(values: Sequence[Value]) -> str:
    """The text for whoever asks for no language: the default's, or the first; "" where there is none."""
    marked = (value.text for value in values if value.language.lower() == DEFAULT)
    return next(marked, values[0].text if values else "")


def _tag(language: str) -> str:
    """The tag in its usual case (RFC 5646, 2.1.1): en, pt-BR, zh-Hant; UNDETERMINED for what is none."""
    written = language.strip().replace("_", "-")
    if written.lower() == DEFAULT or not _TAG.fullmatch(written) or len(written) > _LONGEST_TAG:
        return UNDETERMINED
    first, *others = written.lower().split("-")
    return "-".join([first, *(_usual_case(part) for part in others)])


def _usual_case(subtag: str) -> str:
    return {2: subtag.upper(), 4: subtag.title()}.get(len(subtag), subtag)
