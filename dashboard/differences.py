"""What differs between two texts, word by word, as pages show it."""

import re
from difflib import SequenceMatcher

from flask import Flask
from markupsafe import Markup, escape


def changed(before: str, after: str) -> Markup:
    """`before` with what `after` has not in <del>, and what it has instead in <ins>."""
    parts = [
        escape(gone) if gone == come else Markup("").join(_marked("del", gone) + _marked("ins", come))
        for gone, come in _runs(_pieces(before), _pieces(after))
    ]
    return Markup("").join(parts)


def init_app(app: Flask) -> None:
    app.add_template_filter(changed)


def _runs(old: list[str], new: list[str]) -> list[tuple[str, str]]:
    """What stands in `old` and what in its place in `new`, run by run.

    A blank between two changes belongs to them: word by word in turns, nobody could read either text.
    """
    runs: list[tuple[str, str]] = []
    changed_last = False
    for how, i, j, k, m in SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        run = "".join(old[i:j]), "".join(new[k:m])
        joins = runs and changed_last and (how != "equal" or (run[0].isspace() and j < len(old)))
        changed_last = how != "equal" or bool(joins)
        if joins:
            run = runs[-1][0] + run[0], runs.pop()[1] + run[1]
        runs.append(run)
    return runs


def _marked(tag: str, text: str) -> list[Markup]:
    return [Markup(f"<{tag}>{{}}</{tag}>").format(text)] if text else []


def _pieces(text: str) -> list[str]:
    """Words, the blanks between them and single signs."""
    return re.findall(r"\w+|\s+|[^\w\s]", text)
