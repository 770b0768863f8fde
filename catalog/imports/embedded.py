"""What picture files say of themselves, as the catalog holds it: captions of people, metadata, rights."""

from collections.abc import Iterator
from contextlib import suppress

from catalog.errors import InvalidInput
from catalog.imports.rows import GivenCaption, GivenItem, caption, short_text
from catalog.imports.rows import metadata as checked_metadata
from catalog.languages import language
from catalog.schema import CaptionKind
from pictures.intake import Measured


def given_by_itself(measured: Measured) -> GivenItem:
    """The same as a row of a file of captions would say it; a text that cannot be kept is left out."""
    return GivenItem(
        place="the file itself",
        path="",
        captions=tuple(_captions(measured)),
        rights=short_text(measured.rights, "rights"),
        metadata=checked_metadata(measured.metadata),
        training_prohibited=measured.training_prohibited,
    )


def _captions(measured: Measured) -> Iterator[GivenCaption]:
    for one in measured.captions:
        with suppress(InvalidInput):
            kind, tag = CaptionKind(one.kind), language(one.language)
            yield caption(one.text, captioned_by=None, kind=kind, language=tag)
