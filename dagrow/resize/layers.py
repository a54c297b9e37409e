"""The sizes that layers of torch keep beside their weights: one line per layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

from dagrow.capture import Analysis, Dim, extent

Shapes = Mapping[str, tuple[int, ...]]
"""Per tensor of a layer, its new shape."""


class Asked(NamedTuple):
    """A layer whose weights change.

    Attributes:
        module: the layer.
        shapes: of its tensors afterwards.
        weight: dimensions of its weight before.
        growth: new entries per atom.
    """

    module: Any
    shapes: Shapes
    weight: tuple[Dim, ...]
    growth: Mapping[Dim, int]


Sizes = Callable[[Asked], dict[str, Any]]


def _linear(asked: Asked) -> dict[str, Any]:
    return {"out_features": asked.shapes["weight"][0], "in_features": asked.shapes["weight"][1]}


def _features(asked: Asked) -> dict[str, Any]:
    return {"num_features": next(iter(asked.shapes.values()))[0]}


def _normalized(asked: Asked) -> dict[str, Any]:
    return {"normalized_shape": tuple(asked.shapes["weight"])}


def _embedding(asked: Asked) -> dict[str, Any]:
    return {"num_embeddings": asked.shapes["weight"][0], "embedding_dim": asked.shapes["weight"][1]}


def _slopes(asked: Asked) -> dict[str, Any]:
    return {"num_parameters": asked.shapes["weight"][0]}


def _groups(asked: Asked) -> dict[str, Any]:
    groups = _leading(asked.weight[0], asked.module.num_groups, asked.growth)
    return {"num_channels": asked.shapes["weight"][0], "num_groups": groups}


def _convolution(asked: Asked) -> dict[str, Any]:
    layer, weight = asked.module, asked.shapes["weight"]
    if layer.transposed:
        return {"in_channels": weight[0], "out_channels": weight[1] * layer.groups}
    groups = layer.groups if layer.groups == 1 else _leading(asked.weight[0], layer.groups, asked.growth)
    return {"out_channels": weight[0], "in_channels": weight[1] * groups, "groups": groups}


LAYERS: dict[type[nn.Module], Sizes] = {
    nn.Linear: _linear,
    nn.modules.batchnorm._NormBase: _features,
    nn.LayerNorm: _normalized,
    nn.RMSNorm: _normalized,
    nn.Embedding: _embedding,
    nn.PReLU: _slopes,
    nn.GroupNorm: _groups,
    nn.modules.conv._ConvNd: _convolution,
}


def _transposed_linear(asked: Asked) -> dict[str, Any]:
    return {"nx": asked.shapes["weight"][0], "nf": asked.shapes["weight"][1]}


NAMED: dict[str, tuple[tuple[str, ...], Sizes]] = {"Conv1D": (("nf", "nx"), _transposed_linear)}
"""Layers of other packages, by the name of their class and attributes that it must have: that of transformers."""


def _sizes(module: nn.Module) -> list[Sizes]:
    found = [sizes for kind, sizes in LAYERS.items() if isinstance(module, kind)]
    attributes, sizes = NAMED.get(type(module).__name__, ((), None))
    if sizes is not None and all(hasattr(module, name) for name in (*attributes, "weight")):
        found.append(sizes)
    return found


def is_known(module: nn.Module) -> bool:
    """Whether the sizes of a layer are known from its weights alone."""
    return bool(_sizes(module))


def sizes_of(
    module: nn.Module, path: str, shapes: Shapes, analysis: Analysis, growth: Mapping[Dim, int]
) -> dict[str, Any]:
    """The attributes of a layer that change with its weights.

    Args:
        module: a layer of torch.
        path: of it.
        shapes: of its tensors afterwards.
        analysis: of the module before.
        growth: new entries per atom.
    """
    weight = analysis.tensors.get(f"{path}.weight" if path else "weight", ())
    asked = Asked(module, shapes, weight, growth)
    found: dict[str, Any] = {}
    for sizes in _sizes(module):
        found |= sizes(asked)
    return {key: value for key, value in found.items() if getattr(module, key, None) != value}


def _leading(dim: Dim, groups: int, growth: Mapping[Dim, int]) -> int:
    """What a number of groups, the first factors of a dimension, becomes."""
    dim = dim.now
    if groups == 1 or dim.size == groups:
        return extent(dim, growth) if groups > 1 else 1
    before, after = 1, 1
    for part in dim.parts if dim.kind == "product" else ():
        before, after = before * part.now.size, after * extent(part, growth)
        if before == groups:
            return after
    return groups


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """A module's own parameters and buffers."""
    own = [*module._parameters.items(), *module._buffers.items()]
    return {name: tensor for name, tensor in own if tensor is not None}
