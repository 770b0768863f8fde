"""Shapes of encoder and decoder, and what must not change them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from model.attention import AdditiveAttention
from model.captioner import build_captioner
from model.config import Recipe, override
from model.decoders.attention_lstm import AttentionLSTM
from model.encoder import build_encoder, for_inference, load_base_weights, to_grid
from model.errors import CheckpointError, RecipeError
from model.vocabulary import Vocabulary


@pytest.fixture
def decoder() -> AttentionLSTM:
    torch.manual_seed(0)
    sizes = {
        "vocabulary_size": 11,
        "feature_size": 10,
        "embedding_size": 6,
        "hidden_size": 8,
        "attention_size": 5,
    }
    return AttentionLSTM(**sizes, dropout=0.5).eval()


def test_the_encoder_returns_a_grid_of_49_regions_at_224_pixels() -> None:
    encoder = build_encoder("mobilenet_v2").eval()
    with torch.inference_mode():
        assert encoder(torch.zeros(2, 3, 224, 224)).shape == (2, 49, 1280)
        assert encoder(torch.zeros(1, 3, 64, 96)).shape == (1, 6, 1280)


def test_batch_norm_keeps_its_statistics_in_training(small_recipe: Recipe, vocabulary: Vocabulary) -> None:
    part = (
        build_captioner(override(small_recipe, ["encoder.trained_blocks=19"]), vocabulary)
        .trained_part(19)
        .train()
    )
    before = {name: value.clone() for name, value in part.named_buffers()}
    part.grid(torch.randn(2, 3, 64, 64))
    assert all(torch.equal(value, before[name]) for name, value in part.named_buffers())


def test_an_encoder_for_inference_says_the_same_and_leaves_the_original_alone() -> None:
    torch.manual_seed(0)
    encoder = build_encoder("mobilenet_v2").eval()
    for name, value in encoder.named_buffers():
        if value.is_floating_point():
            value.uniform_(0.5, 1.5) if name.endswith("var") else value.normal_(std=0.1)
    names, images = list(encoder.state_dict()), torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected = encoder(images)
        torch.testing.assert_close(for_inference(encoder)(images), expected, rtol=1e-3, atol=1e-4)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in for_inference(encoder).modules())
    assert list(encoder.state_dict()) == names


@pytest.mark.parametrize("trained_blocks", [0, 5, 19])
def test_an_encoder_in_two_parts_says_what_it_says_whole(trained_blocks: int) -> None:
    encoder = build_encoder("mobilenet_v2").eval()
    frozen, trained = encoder.split(trained_blocks)
    images = torch.randn(1, 3, 64, 64)
    assert len(trained) == trained_blocks
    assert torch.equal(to_grid(trained(frozen(images))), encoder(images))


def test_more_trained_blocks_than_there_are_are_refused() -> None:
    with pytest.raises(RecipeError, match="trained_blocks is 20; the network has 19"):
        build_encoder("mobilenet_v2").split(20)


def test_base_weights_come_from_a_file_in_the_layout_of_torchvision(tmp_path: Path) -> None:
    source, target = build_encoder("mobilenet_v2"), build_encoder("mobilenet_v2")
    state = {f"features.{name}": value for name, value in source.network.state_dict().items()}
    save_file({**state, "classifier.1.bias": torch.zeros(1000)}, tmp_path / "base.safetensors")
    load_base_weights(target, name="mobilenet_v2", weights=str(tmp_path / "base.safetensors"))
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in target.state_dict().items())


def test_base_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    encoder = build_encoder("mobilenet_v2")
    (tmp_path / "weights.pth").write_bytes(b"a pickle")
    (tmp_path / "damaged.safetensors").write_bytes(b"no such thing")
    save_file({"features.0.0.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    for name, message in [
        ("weights.pth", "not a .safetensors file"),
        ("damaged.safetensors", "is damaged"),
        ("other.safetensors", "does not hold torchvision weights"),
        ("missing.safetensors", "which is no file"),
    ]:
        with pytest.raises(CheckpointError, match=message):
            load_base_weights(encoder, name="mobilenet_v2", weights=str(tmp_path / name))


def test_unknown_networks_are_refused(vocabulary: Vocabulary) -> None:
    with pytest.raises(RecipeError, match=r"encoder\.name"):
        build_captioner(override(Recipe(), ["encoder.name=alexnet"]), vocabulary)
    with pytest.raises(RecipeError, match=r"decoder\.name"):
        build_captioner(override(Recipe(), ["decoder.name=parrot"]), vocabulary)


def test_a_captioner_gives_logits_for_each_word_of_each_caption(
    small_recipe: Recipe, vocabulary: Vocabulary
) -> None:
    captioner = build_captioner(small_recipe, vocabulary).eval()
    logits = captioner(torch.zeros(2, 3, 64, 64), torch.ones(2, 5, 7, dtype=torch.long))
    assert logits.shape == (2, 5, 7, len(vocabulary))


def test_attention_weights_are_a_distribution_over_the_grid() -> None:
    attention = AdditiveAttention(value_size=6, query_size=8, attention_size=5)
    values = torch.randn(2, 9, 6)
    context, weights = attention(torch.randn(2, 3, 8), attention.project(values), values)
    assert (context.shape, weights.shape) == ((2, 3, 6), (2, 3, 9))
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3))


def test_steps_give_the_logits_of_teacher_forcing(decoder: AttentionLSTM) -> None:
    features, tokens = torch.rand(2, 9, 10), torch.randint(0, 11, (2, 3, 5))
    expected = decoder(features, tokens)
    memory, state = decoder.begin(features)
    state = tuple(part.expand(-1, 3, -1) for part in state)
    for position in range(5):
        logits, state = decoder.step(tokens[:, :, position], state, memory)
        torch.testing.assert_close(logits, expected[:, :, position])


def test_captions_of_an_image_do_not_see_each_other_nor_later_words(decoder: AttentionLSTM) -> None:
    features, tokens = torch.rand(1, 9, 10), torch.randint(0, 11, (1, 2, 5))
    changed = tokens.clone()
    changed[0, 1] = 10 - changed[0, 1]
    changed[0, 0, 3:] = 10 - changed[0, 0, 3:]
    before, after = decoder(features, tokens), decoder(features, changed)
    torch.testing.assert_close(before[0, 0, :3], after[0, 0, :3])
    assert not torch.allclose(before[0, 0, 3:], after[0, 0, 3:])
    assert not torch.allclose(before[0, 1], after[0, 1])
