"""Languages of captions: tags of BCP 47, checked for their shape."""

import re

from catalog.errors import InvalidInput

SHAPE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
LONGEST_TAG = 35  # characters


def language(value: object) -> str:
    """A language tag (BCP 47). Raises InvalidInput."""
    if not isinstance(value, str) or not SHAPE.fullmatch(value) or len(value) > LONGEST_TAG:
        raise InvalidInput(f"the language is {value!r:.60}; give a tag such as en, de or pt-BR")
    return value
