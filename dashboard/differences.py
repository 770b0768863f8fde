"""What differs between two texts, word by word, as pages show it."""

import re
from difflib import SequenceMatcher

from flask import Flask
from markupsafe import Markup, escape


def changed(before: str, after: str) -> Markup:
    """`before` with what `after` has not in <del>, and what it has instead in <ins>."""
    old, new = _pieces(before), _pieces(after)
    parts: list[Markup] = []
    for how, i, j, k, m in SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        if how == "equal":
            parts.append(escape("".join(old[i:j])))
            continue
        if gone := "".join(old[i:j]):
            parts.append(Markup("<del>{}</del>").format(gone))
        if come := "".join(new[k:m]):
            parts.append(Markup("<ins>{}</ins>").format(come))
    return Markup("").join(parts)


def init_app(app: Flask) -> None:
    app.add_template_filter(changed)


def _pieces(text: str) -> list[str]:
    """Words, the blanks between them and single signs."""
    return re.findall(r"\w+|\s+|[^\w\s]", text)
