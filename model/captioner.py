"""The one place where a recipe becomes a network."""

import inspect
from collections.abc import Iterator
from dataclasses import asdict, fields

from torch import Tensor, nn

from model.batches import FeatureMaps, to_maps
from model.config import DecoderConfig, Recipe
from model.decoders import DECODERS
from model.decoders.interface import Decoder
from model.description import Preprocessing
from model.encoder import GridEncoder, backbone, build_encoder, to_grid
from model.errors import RecipeError
from model.expected_words import ExpectedWords
from model.vocabulary import Vocabulary

PHOTOS_AT_ONCE = 128


class Captioner(nn.Module):
    """An encoder and a decoder: photos (B, 3, S, S) and tokens (B, K, T) -> logits (B, K, T, V).

    Where the recipe wants captions ranked by the words to expect, it has what tells these.
    """

    def __init__(
        self, *, encoder: GridEncoder, decoder: Decoder, expected_words: ExpectedWords | None = None
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.expected_words = expected_words

    def forward(self, images: Tensor, tokens: Tensor) -> Tensor:
        return self.decoder(self.encoder(images), tokens)

    def cached_part(self, recipe: Recipe) -> nn.Sequential:
        """The first blocks of the encoder, which say the same of a photo in every epoch."""
        return self._split(recipe)[0]

    def trained_part(self, recipe: Recipe) -> "TrainedPart":
        """The other blocks of the encoder with the decoder, sharing their weights."""
        return TrainedPart(
            head=self._split(recipe)[1],
            trained_blocks=recipe.encoder.trained_blocks,
            pool=self.encoder.pool,
            decoder=self.decoder,
        )

    def _split(self, recipe: Recipe) -> tuple[nn.Sequential, nn.Sequential]:
        """Where the blocks that learn begin; before all others where each epoch sees new crops."""
        parts = self.encoder.split(recipe.encoder.trained_blocks)
        return parts if recipe.data.crop == 1 else self.encoder.split(len(self.encoder.network))


class TrainedPart(nn.Module):
    """What computes in training: blocks of the encoder, of which the last ones learn, and the decoder.

    It takes the feature maps (B, C, h, w) of the blocks before.
    """

    def __init__(
        self, *, head: nn.Sequential, trained_blocks: int, pool: nn.Module, decoder: Decoder
    ) -> None:
        super().__init__()
        self.head = head
        self.pool = pool
        self.decoder = decoder
        self._first_trained = len(head) - trained_blocks

    @property
    def learning_blocks(self) -> nn.Sequential:
        """The blocks of the encoder that learn."""
        return self.head[self._first_trained :]

    def grid(self, maps: Tensor) -> Tensor:
        """Feature maps (B, C, h, w) -> grid features (B, N, D)."""
        return to_grid(self.pool(self.head(maps)))

    def grids(self, photos: FeatureMaps) -> Iterator[Tensor]:
        """The grids (b, N, D) of photos given by row, some at a time."""
        device = next(self.parameters()).device
        for start in range(0, len(photos), PHOTOS_AT_ONCE):
            yield self.grid(to_maps(photos[start : start + PHOTOS_AT_ONCE]).to(device))

    def teach(self, maps: Tensor, captions: Tensor) -> tuple[Tensor, Tensor]:
        """Captions (B, K, T), `<start>` to `<end>` -> logits (B, K, S, V) and their targets (B, K, S)."""
        return self.decoder.teach(self.grid(maps), captions)


def build_captioner(recipe: Recipe, vocabulary: Vocabulary) -> Captioner:
    """A captioner with random weights; raises RecipeError for an unknown encoder or decoder."""
    encoder = build_encoder(recipe.encoder.name, grid_size=recipe.encoder.grid_size)
    decoder = build_decoder(
        recipe.decoder, vocabulary_size=len(vocabulary), feature_size=encoder.feature_size
    )
    weight = recipe.search.expected_words
    expected_words = (
        ExpectedWords(feature_size=encoder.feature_size, vocabulary_size=len(vocabulary), weight=weight)
        if weight
        else None
    )
    return Captioner(encoder=encoder, decoder=decoder, expected_words=expected_words)


def build_decoder(config: DecoderConfig, *, vocabulary_size: int, feature_size: int) -> Decoder:
    """A decoder with random weights, given those sizes of the table that it has a use for.

    Raises RecipeError for an unknown name, and for a size that was set and that the decoder does not have.
    """
    sizes = decoder_sizes(config)
    for field in fields(config):
        value = getattr(config, field.name)
        if field.name not in ("name", *sizes) and value != field.default:
            raise RecipeError(
                f"decoder.{field.name} is {value}, but {config.name} has no such size; "
                f"leave it out, or set decoder.{field.name}={field.default}"
            )
    return DECODERS[config.name](vocabulary_size=vocabulary_size, feature_size=feature_size, **sizes)


def decoder_sizes(config: DecoderConfig) -> dict[str, int | float]:
    """Those keys of the table that this decoder takes; raises RecipeError for an unknown name."""
    if config.name not in DECODERS:
        raise RecipeError(f'decoder.name is "{config.name}"; choose one of {", ".join(DECODERS)}')
    wanted = inspect.signature(DECODERS[config.name]).parameters
    return {key: value for key, value in asdict(config).items() if key in wanted}


def preprocessing_of(recipe: Recipe) -> Preprocessing:
    """What the recipe does to a photo before the encoder sees it; raises RecipeError for too small a size."""
    size, known = recipe.data.image_size, backbone(recipe.encoder.name)
    if size < known.smallest:
        raise RecipeError(f"data.image_size is {size}; {recipe.encoder.name} needs at least {known.smallest}")
    return Preprocessing(size=size, framing=recipe.data.framing, mean=known.mean, std=known.std)
