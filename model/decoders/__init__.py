"""Language networks that turn grid features into captions."""

from collections.abc import Callable

from model.decoders.attention_lstm import AttentionLSTM, SoftAttentionLSTM
from model.decoders.interface import Decoder
from model.decoders.lstm import InitInjectLSTM, PackedLSTM, PreInjectLSTM
from model.decoders.transformer import TransformerDecoder

DECODERS: dict[str, Callable[..., Decoder]] = {
    "init_inject_lstm": InitInjectLSTM,
    "pre_inject_lstm": PreInjectLSTM,
    "packed_lstm": PackedLSTM,
    "soft_attention_lstm": SoftAttentionLSTM,
    "attention_lstm": AttentionLSTM,
    "transformer": TransformerDecoder,
}
