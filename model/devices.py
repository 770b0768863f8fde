"""Which device computes, and how precisely."""

from contextlib import AbstractContextManager

import torch

from model.errors import ModelError


def pick_device(name: str) -> torch.device:
    """ "auto" takes a GPU where there is one; raises ModelError when "cuda" is asked for and absent."""
    available = torch.cuda.is_available()
    if name == "auto":
        name = "cuda" if available else "cpu"
    if name not in ("cpu", "cuda"):
        raise ModelError(f'unknown device "{name}"; choose auto, cpu or cuda')
    if name == "cuda" and not available:
        raise ModelError("device cuda was asked for, but PyTorch sees no GPU here; use --device cpu")
    return torch.device(name)


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the processor itself computes bfloat16; elsewhere it is emulated, slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # PyTorch has no public question for this; a release without these two computes in float32.
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in names)


def fast_precision(device: torch.device) -> AbstractContextManager[None]:
    """Run in bfloat16 where that is fast, and in float32 where it is not."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=has_fast_bfloat16(device))
