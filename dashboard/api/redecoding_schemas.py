"""What the API takes and gives of looking inside the model."""

from base64 import b64encode
from typing import Any

from apiflask import Schema
from apiflask.fields import Boolean, Dict, Enum, Float, Function, Integer, List, Nested, String
from apiflask.validators import Length, Range
from marshmallow import ValidationError, validates_schema

from catalog.inside import Inside
from catalog.redecodings import LONGEST_PREFIX, LONGEST_WORD, MOST_REPLACEMENTS, MOST_WORDS
from catalog.schema import RedecodingKind, RedecodingState

ASKED_FOR = {RedecodingKind.REPLACEMENTS: {"words", "position"}, RedecodingKind.CONTINUATION: {"prefix"}}
MAY_HAVE = {RedecodingKind.REPLACEMENTS: {"count"}, RedecodingKind.CONTINUATION: set[str]()}


class RedecodingIn(Schema):
    """`replacements` need `words` and `position` and may have a `count`; a `continuation` needs `prefix`."""

    kind = Enum(RedecodingKind, by_value=True, required=True)
    caption_id = Integer(
        metadata={"description": "A caption of the item, whose checkpoint is asked; else the active one is."}
    )
    words = List(String(validate=Length(1, LONGEST_WORD)), validate=Length(1, MOST_WORDS))
    position = Integer(validate=Range(0, MOST_WORDS - 1), metadata={"description": "Counted from 0."})
    count = Integer(validate=Range(1, MOST_REPLACEMENTS), metadata={"description": "5 unless given."})
    prefix = String(validate=Length(max=LONGEST_PREFIX))

    @validates_schema
    def _fits_its_kind(self, data: dict[str, Any], **_: Any) -> None:
        given, kind = data.keys() - {"kind", "caption_id"}, data["kind"]
        for name in sorted(ASKED_FOR[kind] - given):
            raise ValidationError(f"Missing for {kind.value}.", name)
        for name in sorted(given - ASKED_FOR[kind] - MAY_HAVE[kind]):
            raise ValidationError(f"Not a part of {kind.value}.", name)


class RedecodingOut(Schema):
    id = Integer(attribute="redecoding.id")
    item_id = Integer(attribute="redecoding.item_id")
    kind = Enum(RedecodingKind, by_value=True, attribute="redecoding.kind")
    state = Enum(RedecodingState, by_value=True, attribute="redecoding.state")
    answer = Dict(
        attribute="redecoding.answer",
        allow_none=True,
        metadata={"description": "`replacements`, or `text` with its words and alternatives."},
    )
    error = String(attribute="redecoding.error", allow_none=True)
    waiting_for_a_worker = Boolean(metadata={"description": "Nobody is there who could answer."})


class WordOut(Schema):
    text = String()
    probability = Float()
    confidence = Float(
        allow_none=True,
        metadata={"description": "How likely people would have used it, 0..1; null when not calibrated."},
    )
    doubtful = Boolean()


class InsideOut(Schema):
    words = List(Nested(WordOut))
    calibrated = Boolean(metadata={"description": "Whether its checkpoint knows how far to trust a word."})
    framing = String(metadata={"description": "The part of the photo under the grids: squash, pad or crop."})
    side = Integer(metadata={"description": "Rows and columns of a grid."})
    attention = Function(
        lambda inside: _text(inside),
        metadata={
            "type": "string",
            "nullable": True,
            "description": "A grid of bytes a word, row by row, end to end, in base64; 255 where the network "
            "looked most before the word.",
        },
    )


def _text(inside: Inside) -> str | None:
    return None if inside.grids is None else b64encode(inside.grids).decode("ascii")
