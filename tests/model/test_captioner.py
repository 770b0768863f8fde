"""Any encoder with any decoder."""

from dataclasses import replace

import pytest
import torch

from model.attention import AdditiveAttention
from model.captioner import Captioner, build_captioner, build_decoder, preprocessing_of
from model.config import CHOICES, DecoderConfig, Recipe, override
from model.decoders import DECODERS
from model.encoder import ENCODERS, build_encoder
from model.errors import RecipeError
from model.search import beam_search
from model.vocabulary import Vocabulary

SMALL = DecoderConfig(embedding_size=8, hidden_size=12)


@pytest.mark.parametrize("name", ENCODERS)
def test_any_encoder_combines_with_any_decoder(name: str) -> None:
    torch.manual_seed(0)
    encoder = build_encoder(name, grid_size=2).eval()
    with torch.inference_mode():
        images = torch.rand(2, 3, 96, 96)
        for decoder_name in DECODERS:
            decoder = build_decoder(
                replace(SMALL, name=decoder_name), vocabulary_size=9, feature_size=encoder.feature_size
            )
            captioner = Captioner(encoder=encoder, decoder=decoder).eval()
            assert captioner(images, torch.ones(2, 5, 7, dtype=torch.long)).shape == (2, 5, 7, 9)
            found = beam_search(
                decoder, decoder.begin(encoder(images)), beam_size=2, max_length=4, length_penalty=0.7
            )
            assert [len(hypotheses) for hypotheses in found] == [2, 2]


def test_a_recipe_gives_logits_for_each_word_of_each_caption(
    small_recipe: Recipe, vocabulary: Vocabulary
) -> None:
    captioner = build_captioner(small_recipe, vocabulary).eval()
    logits = captioner(torch.zeros(2, 3, 64, 64), torch.ones(2, 5, 7, dtype=torch.long))
    assert logits.shape == (2, 5, 7, len(vocabulary))


def test_unknown_networks_are_refused() -> None:
    with pytest.raises(RecipeError, match=r'encoder\.name .* .did you mean "resnet50"'):
        override(Recipe(), ["encoder.name=resnet5"])
    with pytest.raises(RecipeError, match=r"decoder\.name .* choose one of init_inject_lstm, "):
        override(Recipe(), ["decoder.name=parrot"])
    with pytest.raises(RecipeError, match=r"encoder\.name"):
        build_encoder("alexnet")
    with pytest.raises(RecipeError, match=r"decoder\.name"):
        build_decoder(replace(SMALL, name="parrot"), vocabulary_size=9, feature_size=4)


def test_recipes_may_name_the_networks_there_are() -> None:
    assert CHOICES["encoder.name"] == tuple(ENCODERS)
    assert CHOICES["decoder.name"] == tuple(DECODERS)


def test_a_size_that_a_decoder_does_not_have_is_refused(vocabulary: Vocabulary) -> None:
    recipe = override(Recipe(), ["decoder.name=soft_attention_lstm", "decoder.layers=3"])
    with pytest.raises(RecipeError, match=r"decoder\.layers is 3, but soft_attention_lstm has no such size"):
        build_captioner(recipe, vocabulary)


def test_photos_too_small_for_the_encoder_are_refused() -> None:
    recipe = override(Recipe(), ["encoder.name=inception_v3", "data.image_size=64"])
    with pytest.raises(RecipeError, match=r"data\.image_size is 64; inception_v3 needs at least 75"):
        preprocessing_of(recipe)


def test_photos_are_normalised_as_the_encoder_was_taught() -> None:
    assert preprocessing_of(Recipe()).mean == (0.485, 0.456, 0.406)
    recipe = override(Recipe(), ["encoder.name=inception_v3", "data.image_size=299"])
    assert preprocessing_of(recipe).mean == preprocessing_of(recipe).std == (0.5, 0.5, 0.5)


def test_attention_weights_are_a_distribution_over_the_grid() -> None:
    attention = AdditiveAttention(value_size=6, query_size=8, attention_size=5)
    values = torch.randn(2, 9, 6)
    context, weights = attention(torch.randn(2, 3, 8), attention.project(values), values)
    assert (context.shape, weights.shape) == ((2, 3, 6), (2, 3, 9))
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3))
