"""Fused kernels say what the network says."""

import pytest
import torch
from torch import Tensor, fx, nn

from model.devices import has_fast_bfloat16
from model.encoder import ENCODERS, build_encoder, for_inference
from model.fusion import can_fuse, fused

pytestmark = pytest.mark.skipif(not can_fuse(), reason="this PyTorch has no fused kernels for a processor")
CPU = torch.device("cpu")


def photos(size: int) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(2, 3, size, size).to(memory_format=torch.channels_last)


def kinds(network: fx.GraphModule) -> set[str]:
    modules = dict(network.named_modules())
    return {
        type(modules[str(node.target)]).__name__ for node in network.graph.nodes if node.op == "call_module"
    }


@pytest.mark.parametrize("name", ENCODERS)
@torch.inference_mode()
def test_a_fused_encoder_says_the_same(name: str) -> None:
    encoder = for_inference(build_encoder(name))
    images = photos(max(64, ENCODERS[name].smallest))
    plain = encoder(images)
    assert torch.allclose(fused(encoder, torch.float32)(images), plain, atol=1e-5 * float(plain.abs().max()))


@pytest.mark.skipif(not has_fast_bfloat16(CPU), reason="this processor emulates bfloat16")
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
@torch.inference_mode()
def test_in_bfloat16_it_is_no_less_exact_than_the_plain_network(name: str) -> None:
    encoder = for_inference(build_encoder(name))
    images = photos(96)
    exact = encoder(images)
    rough = for_inference(encoder).to(torch.bfloat16)(images.bfloat16()).float()
    fast = fused(encoder, torch.bfloat16)(images.bfloat16())
    assert fast.dtype == torch.bfloat16
    assert (fast.float() - exact).norm() <= 1.25 * (rough - exact).norm()


def test_shortcuts_and_activations_are_part_of_their_convolution() -> None:
    residual = fused(build_encoder("resnet18").network, torch.float32)
    assert kinds(residual) == {"_FusedConvolution", "MaxPool2d"}
    assert not [node for node in residual.graph.nodes if node.op == "call_function"]
    assert kinds(fused(build_encoder("mobilenet_v2").network, torch.float32)) == {"_FusedConvolution"}


class Branching(nn.Module):
    """Convolutions whose results are used otherwise as well."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1, bias=False)
        self.bend = nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        first, second = self.first(images), self.second(images)
        return torch.cat(
            [first, self.bend(first), self.bend(first + second), second * 2, second + second], dim=1
        )


@torch.inference_mode()
def test_what_others_use_as_well_is_left_as_it_is() -> None:
    torch.manual_seed(1)
    network, images = Branching().eval(), photos(8)
    assert torch.allclose(fused(network, torch.float32)(images), network(images), atol=1e-6)


class Joined(nn.Module):
    """The sum of two convolutions, of which only one can take the other in."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 1)

    def forward(self, images: Tensor) -> Tensor:
        return torch.relu(self.first(images) + self.second(images))


@torch.inference_mode()
def test_the_sum_of_two_convolutions_is_taken_by_one_of_them() -> None:
    torch.manual_seed(1)
    network, images = Joined().eval(), photos(8)
    joined = fused(network, torch.float32)
    assert [node.op for node in joined.graph.nodes].count("call_module") == 2
    assert torch.allclose(joined(images), network(images), atol=1e-6)
