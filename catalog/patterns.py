r"""Patterns of people: regular expressions, refused where compiling them alone would take too long.

Compiling writes out what is repeated, and nothing can stop it: `((a{1000}){1000}){1000}` takes all memory.
"""

import re
from typing import Any

import regex

from catalog.errors import InvalidInput

MOST_PIECES = 50_000  # once repeats are written out; these compile in about a tenth of a second
# The flags x and V1 change what ends a group or a class, and are not needed in a field of one line.
TOKENS = re.compile(
    r"""
    (?P<flag>   \(\?[a-zA-Z01]*[xV] )
  | (?P<comment>\(\?\#(?:\\.|[^\\)])*\) )
  | (?P<begin>  \( )
  | (?P<end>    \) )
  | (?P<repeat> \+ | \{(?P<least>[0-9]*)(?:,(?P<most>[0-9]*))?\} )
  | (?P<piece>  \\. | \[\^?(?:\\.|\[:[\w\ &./=:^-]*:\]|.)(?:\\.|\[:[\w\ &./=:^-]*:\]|[^]\\])*\] | . )
    """,
    re.VERBOSE | re.DOTALL,
)


def compiled(source: str, *, case: bool) -> Any:
    """The pattern, ready to search. Raises InvalidInput, with the place where it is wrong."""
    if _pieces(source) > MOST_PIECES:
        raise InvalidInput(
            f"the pattern {source!r} repeats too much: written out it has more than {MOST_PIECES:,} pieces; "
            "use smaller numbers, or * instead of repeats inside repeats"
        )
    try:
        return regex.compile(source, 0 if case else regex.IGNORECASE)
    except regex.error as error:
        raise InvalidInput(
            f"the pattern {source!r} is wrong: {error.msg} at character {error.pos + 1}"
        ) from None
    except (RecursionError, MemoryError, OverflowError):
        raise InvalidInput(f"the pattern {source!r} is too deep; make it simpler") from None


def _pieces(source: str) -> int:
    """The pieces of a pattern once its repeats are written out, with one more for where each goes on."""
    groups, last = [0], 0  # the pieces of each open group, and those of what a repeat would repeat
    for token in TOKENS.finditer(source):
        match token.lastgroup:
            case "flag":
                raise InvalidInput(
                    f"the pattern {source!r} sets a flag at character {token.start() + 1} that is not "
                    "supported; write it without x and V"
                )
            case "begin":
                groups.append(1)
            case "end":
                last = groups.pop()
                groups = groups or [0]
                groups[-1] += last
            case "repeat":
                groups[-1] += last * _times(token)
            case "piece":
                last = 1
                groups[-1] += last
    return sum(groups)


def _times(token: re.Match[str]) -> int:
    return max(int(token["least"] or 0), int(token["most"] or 0)) if "{" in token[0] else 1
