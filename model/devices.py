"""Which device computes, and how precisely."""

from contextlib import AbstractContextManager

import torch
import torch.distributed as dist

from model.errors import ModelError
from model.fusion import can_fuse


def pick_device(name: str) -> torch.device:
    """ "auto" takes a GPU where there is one; raises ModelError when "cuda" is asked for and absent."""
    available = torch.cuda.is_available()
    if name == "auto":
        name = "cuda" if available else "cpu"
    if name not in ("cpu", "cuda"):
        raise ModelError(f'unknown device "{name}"; choose auto, cpu or cuda')
    if name == "cuda" and not available:
        raise ModelError("device cuda was asked for, but PyTorch sees no GPU here; use --device cpu")
    if name == "cuda":
        # torchrun starts a process for each GPU of a machine; one alone takes the first.
        return torch.device("cuda", dist.get_node_local_rank(fallback_rank=0))
    return torch.device(name)


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the processor itself computes bfloat16; elsewhere it is emulated, slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # PyTorch has no public question for this; a release without these two computes in float32.
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in names)


def can_compute_fast(device: torch.device) -> bool:
    """Whether bfloat16 with fused kernels (`model.fusion`) pays here."""
    return device.type == "cpu" and has_fast_bfloat16(device) and can_fuse()


def training_precision(device: torch.device, name: str) -> AbstractContextManager[None]:
    """The precision a recipe trains in; bfloat16 only where that is fast."""
    enabled = name == "bfloat16" and has_fast_bfloat16(device)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def encoding_precision(device: torch.device) -> AbstractContextManager[None]:
    """The precision photos are encoded in to learn from them and to measure: float16 on a GPU, else float32.

    Not bfloat16, which changes every fifth caption: figures must not depend on the machine they come from.
    """
    return torch.autocast(device.type, dtype=torch.float16, enabled=device.type == "cuda")
