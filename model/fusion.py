"""Convolutions computed in one pass with what follows them, by oneDNN's fused kernels on a processor.

A small network spends more time writing feature maps to memory and reading them again than multiplying. A
kernel that adds a shortcut and applies the activation while it still has the sums at hand saves these ways.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

# What oneDNN calls an activation, and its bounds where it has any.
_Activation = tuple[str, list[float]]
_NONE: _Activation = ("none", [])
_MODULES: dict[type[nn.Module], _Activation] = {
    nn.ReLU: ("relu", []),
    nn.ReLU6: ("hardtanh", [0.0, 6.0]),
    nn.SiLU: ("swish", []),
    nn.Sigmoid: ("sigmoid", []),
    nn.Hardswish: ("hardswish", []),
    nn.Hardsigmoid: ("hardsigmoid", []),
}
_FUNCTIONS: dict[Callable[..., Any], _Activation] = {F.relu: ("relu", []), torch.relu: ("relu", [])}


def can_fuse() -> bool:
    """Whether this build of PyTorch has the kernels, which are no public part of it."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_convolution_pointwise")


def fused(network: nn.Module, dtype: torch.dtype) -> fx.GraphModule:
    """A frozen copy in `dtype` that fuses each convolution with the sum and the activation behind it.

    For a network without BatchNorms, photos (B, 3, S, S) in channels-last order and the same dtype. It says
    what the network says in that dtype.
    """
    traced = fx.symbolic_trace(network.eval())
    modules = dict(traced.named_modules())
    for node in list(traced.graph.nodes):
        if isinstance(_module(node, modules), nn.Identity):
            node.replace_all_uses_with(node.args[0])
            traced.graph.erase_node(node)
    for node in list(traced.graph.nodes):
        convolution = _module(node, modules)
        if isinstance(convolution, nn.Conv2d):
            _fuse(traced, node, convolution, modules, dtype)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced.to(dtype).requires_grad_(False)


class _FusedConvolution(nn.Module):
    """A convolution, the sum with a shortcut where there is one, and an activation."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, convolution: nn.Conv2d, dtype: torch.dtype, *, activation: _Activation) -> None:
        super().__init__()
        weight = convolution.weight.detach().to(dtype, memory_format=torch.channels_last)
        self.register_buffer("weight", weight)
        bias = convolution.bias
        self.register_buffer("bias", None if bias is None else bias.detach().to(dtype))
        self._geometry = (
            convolution.padding,
            convolution.stride,
            convolution.dilation,
            convolution.groups,
        )
        self._activation = activation

    def forward(self, maps: Tensor, shortcut: Tensor | None = None) -> Tensor:
        name, bounds = self._activation
        compute = torch.ops.mkldnn._convolution_pointwise
        if shortcut is None:
            plain: Tensor = compute(maps, self.weight, self.bias, *self._geometry, name, bounds, "")
            return plain
        bend = None if name == "none" else name
        added: Tensor = compute.binary(
            maps, shortcut, self.weight, self.bias, *self._geometry, "add", 1.0, bend, bounds, ""
        )
        return added


def _fuse(
    traced: fx.GraphModule,
    node: fx.Node,
    convolution: nn.Conv2d,
    modules: dict[str, nn.Module],
    dtype: torch.dtype,
) -> None:
    """Put one fused module in the place of a convolution and of those behind it that are fused with it."""
    last, inputs = node, list(node.args)
    behind = _only_user(last)
    if behind is not None and _adds_maps(behind):
        # The shortcut has to be there before the convolution is.
        inputs += [argument for argument in behind.args if argument is not node]
        last, behind = behind, _only_user(behind)
    activation = _activation(behind, modules) if behind is not None else None
    if behind is not None and activation is not None:
        last = behind
    target = f"{node.target}_fused".replace(".", "_")
    traced.add_submodule(target, _FusedConvolution(convolution, dtype, activation=activation or _NONE))
    with traced.graph.inserting_before(last):
        replaced = traced.graph.call_module(target, tuple(inputs))
    last.replace_all_uses_with(replaced)
    for gone in _between(last, node):
        traced.graph.erase_node(gone)


def _between(last: fx.Node, first: fx.Node) -> Sequence[fx.Node]:
    """The nodes from the last one back to the first, each the only user of the one before."""
    chain = [first]
    while chain[-1] is not last:
        chain.append(next(iter(chain[-1].users)))
    return chain[::-1]


def _module(node: fx.Node, modules: dict[str, nn.Module]) -> nn.Module | None:
    return modules.get(str(node.target)) if node.op == "call_module" else None


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _adds_maps(node: fx.Node) -> bool:
    """Whether it adds the results of two different nodes."""
    return (
        node.op == "call_function"
        and node.target in (operator.add, operator.iadd, torch.add)
        and not node.kwargs
        and len(set(node.args)) == 2
        and all(isinstance(argument, fx.Node) for argument in node.args)
    )


def _activation(node: fx.Node, modules: dict[str, nn.Module]) -> _Activation | None:
    """What oneDNN calls the activation that a node is; None for one that it does not have."""
    if node.op == "call_function":
        return _FUNCTIONS.get(node.target) if callable(node.target) else None
    module = _module(node, modules)
    return None if module is None else _MODULES.get(type(module))
