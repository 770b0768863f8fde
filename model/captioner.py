"""The one place where a recipe becomes a network."""

from typing import Self

from torch import Tensor, nn

from model.config import Recipe
from model.decoders import DECODERS
from model.decoders.interface import Decoder
from model.description import Preprocessing
from model.encoder import GridEncoder, build_encoder, keep_statistics, to_grid
from model.errors import RecipeError
from model.vocabulary import Vocabulary


class Captioner(nn.Module):
    """An encoder and a decoder: photos (B, 3, S, S) and tokens (B, K, T) -> logits (B, K, T, V)."""

    def __init__(self, *, encoder: GridEncoder, decoder: Decoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, images: Tensor, tokens: Tensor) -> Tensor:
        return self.decoder(self.encoder(images), tokens)

    def trained_part(self, trained_blocks: int) -> "TrainedPart":
        """The last blocks of the encoder with the decoder, sharing their weights."""
        return TrainedPart(head=self.encoder.split(trained_blocks)[1], decoder=self.decoder)


class TrainedPart(nn.Module):
    """What training changes: the last blocks of the encoder, if any, and the decoder.

    Takes the feature maps (B, C, h, w) of the blocks before, and tokens (B, K, T) -> logits (B, K, T, V).
    """

    def __init__(self, *, head: nn.Sequential, decoder: Decoder) -> None:
        super().__init__()
        self.head = head
        self.decoder = decoder

    def grid(self, maps: Tensor) -> Tensor:
        """Feature maps (B, C, h, w) -> grid features (B, N, D)."""
        return to_grid(self.head(maps))

    def forward(self, maps: Tensor, tokens: Tensor) -> Tensor:
        return self.decoder(self.grid(maps), tokens)

    def train(self, mode: bool = True) -> Self:
        """Training mode, but for the statistics of the encoder's BatchNorms."""
        super().train(mode)
        keep_statistics(self.head)
        return self


def build_captioner(recipe: Recipe, vocabulary: Vocabulary) -> Captioner:
    """A captioner with random weights; raises RecipeError for an unknown encoder or decoder."""
    encoder = build_encoder(recipe.encoder.name)
    if recipe.decoder.name not in DECODERS:
        raise RecipeError(f'decoder.name is "{recipe.decoder.name}"; choose one of {", ".join(DECODERS)}')
    decoder = DECODERS[recipe.decoder.name](
        vocabulary_size=len(vocabulary),
        feature_size=encoder.feature_size,
        embedding_size=recipe.decoder.embedding_size,
        hidden_size=recipe.decoder.hidden_size,
        attention_size=recipe.decoder.attention_size,
        dropout=recipe.decoder.dropout,
    )
    return Captioner(encoder=encoder, decoder=decoder)


def preprocessing_of(recipe: Recipe) -> Preprocessing:
    """What the recipe does to a photo before the encoder sees it."""
    return Preprocessing(size=recipe.data.image_size, framing=recipe.data.framing)
