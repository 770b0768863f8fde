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
    torch.testing.assert_close(grid, features[0].flatten(2).transpose(1, 2), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ENCODERS)
def test_imagenet_weights_are_those_torchvision_recommends(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = torchvision.models.get_model_weights(name).DEFAULT
    asked: list[object] = []
    encoder = build_encoder(name)
    prefix = ENCODERS[name].prefix
    state = {prefix + key: torch.zeros_like(value) for key, value in encoder.network.state_dict().items()}
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


def test_batch_norms_stay_as_they_are_in_training(small_recipe: Recipe, vocabulary: Vocabulary) -> None:
    part = (
        build_captioner(override(small_recipe, ["encoder.trained_blocks=19"]), vocabulary)
        .trained_part(19)
        .train()
    )
    before = {name: value.clone() for name, value in part.named_buffers()}
    part.grid(torch.randn(2, 3, 64, 64)).sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in part.named_buffers())
    norms = [module for module in part.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert norms
    assert all(weight.grad is None for norm in norms for weight in norm.parameters())


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18", "inception_v3"])
def test_an_encoder_for_inference_says_the_same_and_leaves_the_original_alone(name: str) -> None:
    torch.manual_seed(0)
    encoder = build_encoder(name).eval()
    for buffer, value in encoder.named_buffers():
        if value.is_floating_point():
            value.uniform_(0.5, 1.5) if buffer.endswith("var") else value.normal_(std=0.1)
    names, images = list(encoder.state_dict()), torch.randn(2, 3, 96, 96)
    with torch.inference_mode():
        expected = encoder(images)
        folded = for_inference(encoder)
        torch.testing.assert_close(folded(images), expected, rtol=1e-3, atol=1e-4)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    assert list(encoder.state_dict()) == names


@pytest.mark.parametrize("grid_size", [0, 1, 3])
@pytest.mark.parametrize("trained_blocks", [0, 5, 19])
def test_an_encoder_in_two_parts_says_what_it_says_whole(
    trained_blocks: int, grid_size: int, small_recipe: Recipe, vocabulary: Vocabulary
) -> None:
    captioner = build_captioner(override(small_recipe, [f"encoder.grid_size={grid_size}"]), vocabulary).eval()
    frozen, trained = captioner.encoder.split(trained_blocks)
    images = torch.randn(1, 3, 64, 64)
    assert len(trained) == trained_blocks
    with torch.inference_mode():
        maps = frozen(images)
        whole = captioner.encoder(images)
        torch.testing.assert_close(captioner.trained_part(trained_blocks).eval().grid(maps), whole)
    if grid_size == 1 and not trained_blocks:
        assert maps.shape == (1, 1280, 1, 1)  # what is kept on disk is no larger than what is used


def test_more_trained_blocks_than_there_are_are_refused() -> None:
    with pytest.raises(RecipeError, match="trained_blocks is 20; the network has 19"):
        build_encoder("mobilenet_v2").split(20)


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
