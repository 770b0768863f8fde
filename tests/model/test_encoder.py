"""The image networks: their grids, their base weights, and what must not change them."""

from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from model.captioner import build_captioner, preprocessing_of
from model.config import Recipe, override
from model.description import Preprocessing
from model.encoder import ENCODERS, build_encoder, for_inference, load_base_weights
from model.errors import CheckpointError, RecipeError
from model.transforms import normalise
from model.vocabulary import Vocabulary

GRIDS = {
    "resnet18": (224, 49, 512),
    "resnet50": (224, 49, 2048),
    "resnet101": (224, 49, 2048),
    "vgg16": (224, 49, 512),
    "efficientnet_b0": (224, 49, 1280),
    "inception_v3": (299, 64, 2048),
    "mobilenet_v2": (224, 49, 1280),
    "mobilenet_v3_large": (224, 49, 960),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_each_encoder_says_what_the_network_of_torchvision_says(name: str, tmp_path: Path) -> None:
    """Base weights saved by torchvision's whole network, read into ours: the same features on a grid."""
    torch.manual_seed(0)
    size, regions, feature_size = GRIDS[name]
    options = {"transform_input": True, "init_weights": False} if name == "inception_v3" else {}
    whole = torchvision.models.get_model(name, weights=None, **options).eval()
    for buffer, value in whole.named_buffers():
        if value.is_floating_point():
            value.uniform_(0.5, 1.5) if buffer.endswith("var") else value.normal_(std=0.1)
    save_file(whole.state_dict(), tmp_path / "base.safetensors")
    encoder = build_encoder(name).eval()
    load_base_weights(encoder, name=name, weights=str(tmp_path / "base.safetensors"))

    features: list[torch.Tensor] = []
    if hasattr(whole, "features"):
        whole.features.register_forward_hook(lambda *called: features.append(called[2]))
    else:
        whole.avgpool.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    photos = torch.randint(0, 256, (1, 3, size, size), dtype=torch.uint8)
    imagenet = normalise(photos, Preprocessing(size=size))
    recipe = override(Recipe(), [f"encoder.name={name}", f"data.image_size={size}"])
    with torch.inference_mode():
        whole(imagenet)
        grid = encoder(normalise(photos, preprocessing_of(recipe)))
    assert grid.shape == (1, regions, feature_size)
    expected = features[0].flatten(2).transpose(1, 2)
    scale = expected.abs().max()
    torch.testing.assert_close(grid / scale, expected / scale, rtol=1e-3, atol=1e-4)
    norms = [module for module in encoder.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert not norms, "their statistics stay what they are, as parts of the convolutions"


@pytest.mark.parametrize("name", ENCODERS)
def test_imagenet_weights_are_those_torchvision_recommends(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = torchvision.models.get_model_weights(name).DEFAULT
    asked: list[object] = []
    encoder = build_encoder(name)
    prefix, blocks = ENCODERS[name].prefix, ENCODERS[name].blocks()
    state = {prefix + key: torch.zeros_like(value) for key, value in blocks.state_dict().items()}
    # The download is the edge of the test.
    monkeypatch.setattr(type(weights), "get_state_dict", lambda self, **_: asked.append(self) or state)
    load_base_weights(encoder, name=name, weights="imagenet")
    assert asked == [weights]
    assert not any(value.any() for value in encoder.network.state_dict().values())


def test_weights_that_cannot_be_downloaded_say_what_to_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise URLError("no network here")

    # The download is the edge of the test.
    monkeypatch.setattr(torchvision.models.WeightsEnum, "get_state_dict", offline)
    with pytest.raises(CheckpointError, match=r"cannot download .* of resnet18: .*encoder\.weights=FILE"):
        load_base_weights(build_encoder("resnet18"), name="resnet18", weights="imagenet")


def test_a_photo_through_resnet_50_has_the_shapes_of_the_texts() -> None:
    images = torch.rand(2, 3, 224, 224)
    with torch.inference_mode():
        one_cell, cells = (build_encoder("resnet50", grid_size=size).eval() for size in (1, 14))
        assert one_cell.pool(one_cell.network(images)).shape == (2, 2048, 1, 1)
        assert one_cell(images).flatten(1).shape == (2, 2048)
        assert cells.pool(cells.network(images)).shape == (2, 2048, 14, 14)
        assert cells(images).shape == (2, 196, 2048)


def test_feature_maps_are_pooled_to_the_grid_that_is_asked_for() -> None:
    torch.manual_seed(0)
    images = torch.rand(2, 3, 224, 224)
    with torch.inference_mode():
        whole = build_encoder("resnet18").eval()
        for grid_size in (1, 14):
            encoder = build_encoder("resnet18", grid_size=grid_size).eval()
            encoder.load_state_dict(whole.state_dict())
            grid = encoder(images)
            assert grid.shape == (2, grid_size**2, 512)
            torch.testing.assert_close(grid.mean(dim=1), whole(images).mean(dim=1))


def test_an_encoder_for_inference_is_a_frozen_copy() -> None:
    encoder = build_encoder("resnet18")
    copied = for_inference(encoder)
    images = torch.randn(2, 3, 96, 96)
    with torch.inference_mode():
        torch.testing.assert_close(copied(images), encoder.eval()(images), rtol=1e-3, atol=1e-4)
    assert not any(weight.requires_grad for weight in copied.parameters())
    assert all(weight.requires_grad for weight in encoder.parameters())


@pytest.mark.parametrize("grid_size", [0, 1, 3])
@pytest.mark.parametrize("trained_blocks", [0, 5, 19])
@pytest.mark.parametrize("crop", [1.0, 0.6])
def test_an_encoder_in_two_parts_says_what_it_says_whole(
    crop: float, trained_blocks: int, grid_size: int, small_recipe: Recipe, vocabulary: Vocabulary
) -> None:
    keys = (f"grid_size={grid_size}", f"trained_blocks={trained_blocks}")
    recipe = override(small_recipe, [f"data.crop={crop}", *(f"encoder.{key}" for key in keys)])
    captioner = build_captioner(recipe, vocabulary).eval()
    cached, part = captioner.cached_part(recipe), captioner.trained_part(recipe).eval()
    images = torch.randn(1, 3, 64, 64)
    assert len(part.learning_blocks) == trained_blocks
    assert (len(cached) > 0) == (crop == 1 and trained_blocks < 19), "crops differ from epoch to epoch"
    with torch.inference_mode():
        maps = cached(images)
        torch.testing.assert_close(part.grid(maps), captioner.encoder(images))
    if crop == grid_size == 1 and not trained_blocks:
        assert maps.shape == (1, 1280, 1, 1)  # what is kept on disk is no larger than what is used


@pytest.mark.parametrize("crop", [1.0, 0.6])
def test_more_trained_blocks_than_there_are_are_refused(
    crop: float, small_recipe: Recipe, vocabulary: Vocabulary
) -> None:
    recipe = override(small_recipe, ["encoder.trained_blocks=20", f"data.crop={crop}"])
    with pytest.raises(RecipeError, match="trained_blocks is 20; the network has 19"):
        build_captioner(recipe, vocabulary).trained_part(recipe)


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
