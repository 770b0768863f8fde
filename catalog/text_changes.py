"""Changes of many texts alike: find and replace, prepend, append, and how a text differs from another.

Patterns of people run in the module regex, which gives up in time; `re` cannot be stopped.
"""

import difflib
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import regex

from catalog import patterns
from catalog.captions import TEXT_LENGTH, clean
from catalog.errors import InvalidInput
from catalog.schema import OperationKind
from catalog.text import storable

LONGEST = 500  # characters of what is looked for, and of what is put there
TEXT_TIME = 0.25  # seconds of computing for one text
TRIES = 10
TEXT_KINDS = (OperationKind.REPLACE, OperationKind.PREPEND, OperationKind.APPEND)
# A piece of what a pattern's hits become: \1, \g<name>, another escape, or text as it stands.
TEMPLATE = re.compile(r"\\(?:(\d{1,2})|g<(\w+)>|(.)|$)|([^\\]+)", re.DOTALL)
ESCAPES = {"n": "\n", "\\": "\\"}

Piece = str | Callable[[Any], str]


class OutOfTime(InvalidInput):
    """A pattern that takes too long on a text."""


@dataclass(frozen=True)
class Difference:
    """Words that two texts share, or that only one has: `same`, `gone` or `new`."""

    mark: str
    words: str


@dataclass
class TextChange:
    """What becomes of a text. What was once found is remembered until `forget`."""

    _act: Callable[[str], str]
    _known: dict[str, str | None] = field(default_factory=dict)

    def __call__(self, text: str) -> str | None:
        """The new text; None for one that would not change, become empty, or too long. Raises OutOfTime."""
        if text not in self._known:
            self._known[text] = self._new(text)
        return self._known[text]

    def forget(self) -> None:
        self._known.clear()

    def _new(self, text: str) -> str | None:
        new = self._act(text)
        if new == text:
            return None
        try:
            kept = clean(new)
        except InvalidInput:
            return None
        return kept if kept != text else None


def text_change(kind: OperationKind, options: Mapping[str, Any]) -> TextChange:
    """The change that an operation's options describe. Raises InvalidInput, with the place, for a bad one."""
    if kind is OperationKind.REPLACE:
        return TextChange(_replacing(**{name: options[name] for name in REPLACE_OPTIONS if name in options}))
    added = _short("text", options.get("text", ""))
    if not added.strip():
        raise InvalidInput("there is nothing to add; give a text")
    return TextChange(
        (lambda text: added + text) if kind is OperationKind.PREPEND else lambda text: text + added
    )


def differences(before: str, after: str) -> list[Difference]:
    """The two texts as one, word by word."""
    one, other = (re.findall(r"\s+|\w+|[^\w\s]", text) for text in (before, after))
    found: list[Difference] = []
    for tag, i, j, m, n in difflib.SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        if tag == "equal":
            found.append(Difference("same", "".join(one[i:j])))
            continue
        sides = (("gone", one[i:j]), ("new", other[m:n]))
        found += [Difference(mark, "".join(words)) for mark, words in sides if words]
    return found


REPLACE_OPTIONS = ("find", "put", "pattern", "whole", "case")


def _replacing(
    find: str = "", put: str = "", pattern: bool = False, whole: bool = False, case: bool = False
) -> Callable[[str], str]:
    """Replace what is found. `pattern`: it is a regular expression, not the text itself."""
    find, put = _short("find", find), _short("put", put)
    if not find:
        raise InvalidInput("there is nothing to look for; give a text to find")
    wanted = patterns.compiled(find, case=case) if pattern else None
    if whole or wanted is None:
        source = find if pattern else regex.escape(find, special_only=True)
        wanted = patterns.compiled(rf"(?<!\w)(?:{source})(?!\w)" if whole else source, case=case)
    pieces: list[Piece] = _template(put, wanted) if pattern else [put]

    def replace(text: str) -> str:
        for _ in range(TRIES):
            began = time.thread_time()
            try:
                return _replaced(text, wanted, pieces)
            except TimeoutError:
                # On a busy machine the time goes by while others compute: no pattern is to blame for that.
                if time.thread_time() - began > TEXT_TIME / 2:
                    break
        raise OutOfTime(
            f"the pattern {find!r} takes longer than {TEXT_TIME} s on {text[:60]!r}; "
            "simplify it, for instance by not repeating what is repeated already"
        )

    return replace


def _replaced(text: str, wanted: Any, pieces: list[Piece]) -> str:
    """The text with its hits replaced, or as much of it as shows that it is too long."""
    until, kept, end, length = time.thread_time() + TEXT_TIME, [], 0, 0
    # `concurrent` lets other threads run meanwhile.
    for match in wanted.finditer(text, timeout=TEXT_TIME, concurrent=True):
        new = "".join(piece if isinstance(piece, str) else piece(match) for piece in pieces)
        kept += [text[end : match.start()], new]
        end, length = match.end(), length + len(new)
        if length > TEXT_LENGTH:
            break
        if time.thread_time() > until:
            raise TimeoutError
    return "".join([*kept, text[end:]])


def _template(put: str, wanted: Any) -> list[Piece]:
    return [_piece(found, put, wanted) for found in TEMPLATE.finditer(put)]


def _piece(found: re.Match[str], put: str, wanted: Any) -> Piece:
    number, name, escape, plain = found.groups()
    if plain is not None:
        return plain
    if escape in ESCAPES:
        return ESCAPES[escape]
    group: int | str = int(number) if number else name
    known = group <= wanted.groups if isinstance(group, int) else group in wanted.groupindex
    if group is None or not known:
        raise InvalidInput(
            f"{put!r} is wrong at character {found.start() + 1}: {found[0]!r} names no group of the pattern; "
            r"write \\ for a backslash"
        )
    return lambda match: match[group] or ""


def _short(name: str, text: str) -> str:
    if len(text) > LONGEST:
        raise InvalidInput(f"{name} has {len(text)} characters; use {LONGEST} at most")
    return storable(text, keep="\n")
