"""Language networks that turn grid features into captions, one a module."""

from collections.abc import Callable

from model.decoders.attention_lstm import AttentionLSTM
from model.decoders.interface import Decoder

DECODERS: dict[str, Callable[..., Decoder]] = {"attention_lstm": AttentionLSTM}
