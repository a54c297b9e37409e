"""How new channels pass an operation, to first order: activations as the identity, pools as averages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from dagrow.capture.inplace import plain_name, raw_name
from dagrow.capture.program import run_node
from dagrow.module_growth.passage import Passage


def same(p: Passage) -> Tensor:
    """The values as they are."""
    return p.x


def activation(p: Passage) -> Tensor:
    """The identity."""
    if len(p.carrying) != 1:
        raise p.refuse("joins several values of the space")
    return p.x


def added(p: Passage) -> Tensor:
    """A sum: of what there is."""
    total: Tensor | None = None
    for number, argument in enumerate(p.node.args[:2]):
        if isinstance(argument, fx.Node) and argument in p.new:
            part = p.new[argument] * (-1 if number and plain_name(p.node) == "sub" else 1)
            total = part if total is None else total + part
    assert total is not None
    return total.expand(p.shape)


def multiplied(p: Passage) -> Tensor:
    """A product with a number, or with a value that has no channels of the space."""
    first, second = p.node.args[:2]
    own, other = (first, second) if isinstance(first, fx.Node) and first in p.new else (second, first)
    assert isinstance(own, fx.Node)
    if isinstance(other, fx.Node) and (other in p.new or other not in p.base or p.hold(p.dims(other))):
        raise p.refuse("multiplies it by channels of its own")
    factor: Any = p.base[other] if isinstance(other, fx.Node) else other
    value = p.new[own]
    if plain_name(p.node) == "div":
        if own is second:
            raise p.refuse("divides by it")
        return torch.div(value, factor)
    return torch.mul(value, factor)


def as_is(p: Passage) -> Tensor:
    """The operation itself, on the new channels."""
    args = [p.new[a] if isinstance(a, fx.Node) and a in p.new else _plain(p, a) for a in p.node.args]
    return run_node(p.node, tuple(args), {k: _plain(p, v) for k, v in p.node.kwargs.items()})  # type: ignore[no-any-return]


def _plain(p: Passage, argument: Any) -> Any:
    if isinstance(argument, fx.Node):
        if argument not in p.base:
            raise p.refuse("needs a value that is not there")
        return p.base[argument]
    return argument


def averaged(p: Passage) -> Tensor:
    """A pool of maxima, taken as averages."""
    kernel, stride, padding = p.node.args[1], _get(p.node, 2, ()), _get(p.node, 3, 0)
    pool: Any = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[int(plain_name(p.node)[8])]
    ceil = bool(_get(p.node, 5, False))
    return pool(p.x, kernel, stride or None, padding, ceil, False)  # type: ignore[no-any-return]


def averaged_to_size(p: Passage) -> Tensor:
    """Likewise, to a size."""
    return F.adaptive_avg_pool2d(p.x, p.node.args[1])  # type: ignore[arg-type]


def _get(node: fx.Node, index: int, default: Any) -> Any:
    return node.args[index] if len(node.args) > index else default


def viewed(p: Passage) -> Tensor:
    """The shape that the dimensions have with new channels alone."""
    return p.x.reshape(p.shape)


def joined(p: Passage) -> Tensor:
    """Behind one another: of what is joined, the new channels alone; along another axis, 0 beside them."""
    parts = list(p.node.args[0])  # type: ignore[arg-type]
    axis = int(_get(p.node, 1, 0))
    if p.hold((p.dims(p.node)[axis],)):
        return torch.cat([p.new[part] for part in parts if part in p.new], axis)
    beside = {part: p.x.new_zeros([p.size(dim) for dim in p.dims(part)]) for part in parts if part not in p.new}
    return torch.cat([p.new[part] if part in p.new else beside[part] for part in parts], axis)


def picked(p: Passage) -> Tensor:
    """A piece of a value: all new channels, where it is cut along them; else the piece."""
    first = p.node.args[0]
    assert isinstance(first, fx.Node)
    axis = int(_get(p.node, 1, 0))
    if any(before.now is not after.now for before, after in zip(p.dims(first), p.dims(p.node), strict=True)):
        changed = [i for i, (b, a) in enumerate(zip(p.dims(first), p.dims(p.node), strict=True)) if b.now is not a.now]
        if changed == [axis % len(p.dims(first))] and p.hold((p.dims(first)[axis],)):
            return p.x
    return as_is(p)


def cut(p: Passage) -> Tensor | tuple[Tensor, ...]:
    """An axis in pieces; along the channels, those pieces that hold none of the space are empty."""
    axis = int(_get(p.node, 2, 0))
    pieces = [dims[axis] for dims in p.outputs(p.node)]
    sizes = [p.size(dim) if not p.hold(pieces) or p.hold((dim,)) else 0 for dim in pieces]
    return torch.split(p.x, sizes, axis)


def taken_apart(p: Passage) -> Tensor | tuple[Tensor, ...]:
    """An axis taken apart."""
    return p.x.unbind(int(_get(p.node, 1, 0)))


def taken(p: Passage) -> Tensor | tuple[Tensor, ...]:
    """One of several outputs; of an operation with one that matters, as a pool with indices, that one."""
    first, number = p.node.args[:2]
    assert isinstance(first, fx.Node)
    assert isinstance(number, int)
    found: Any = p.new[first]
    return found[number] if isinstance(found, tuple) else found  # type: ignore[no-any-return]


def repeated(p: Passage) -> Tensor:
    """Along axes of extent 1."""
    return p.x.expand(p.shape)


def multiplied_by_matrix(p: Passage) -> Tensor:
    """A product of matrices, the other one as it is."""
    if len(p.carrying) != 1:
        raise p.refuse("multiplies it by channels of its own")
    return as_is(p)


def attended(p: Passage) -> Tensor | None:
    """Attention: the means of values that it takes, with the weights that it has; those of new heads are all equal."""
    q, k, v = p.node.args[:3]
    if not all(isinstance(argument, fx.Node) for argument in (q, k, v)):
        raise p.refuse("is given no values")
    if v not in p.new:
        return None
    rest = [_plain(p, argument) for argument in p.node.args[3:]]
    kwargs = {name: _plain(p, value) for name, value in p.node.kwargs.items()}
    values: Tensor = p.new[v]  # type: ignore[index]
    if not p.hold(p.dims(v)[:-2]):  # type: ignore[arg-type]
        weights = [_plain(p, each) for each in (q, k)]
        return run_node(p.node, (*weights, values, *rest), kwargs)  # type: ignore[no-any-return]
    queries, keys = ([p.size(dim) for dim in p.dims(each)] for each in (q, k))  # type: ignore[arg-type]
    mask = kwargs.get("attn_mask", rest[0] if rest else None)
    masked = [] if mask is None else list(mask.shape[:-2])
    if masked[-1:] > [1]:
        raise p.refuse("has a mask for each head")
    shared = masked or [1] * (values.dim() - 2)
    # One matrix of weights does for all heads: the same means of a 1 at each place, one after another.
    ones = torch.eye(keys[-2], dtype=values.dtype, device=values.device).expand(*shared, -1, -1)
    zeros = [values.new_zeros(*shared, extent, 1) for extent in (queries[-2], keys[-2])]
    means: Tensor = run_node(p.node, (*zeros, ones, *rest), kwargs)
    return means @ values.repeat_interleave(queries[-3] // values.shape[-3], -3)


def normalised(p: Passage) -> Tensor:
    """A norm over all channels: divided by what it divides by, which small new channels do not change.

    Under a layer norm the new channels of a sample must add up to 0, so that they do not move its mean.
    """
    first = p.node.args[0]
    assert isinstance(first, fx.Node)
    known: Tensor = p.base[first]
    if plain_name(p.node) == "layer_norm":
        square, eps = known.var(-1, unbiased=False, keepdim=True), _get(p.node, 4, 1e-5)
    else:
        square, eps = known.square().mean(-1, keepdim=True), _get(p.node, 3, None)
    return p.x / (square + (torch.finfo(known.dtype).eps if eps is None else eps)).sqrt()


def depthwise(p: Passage) -> Tensor:
    """A convolution of each channel by itself: new channels have the kernel that is 1 in its centre."""
    args = list(p.node.args)
    weight = args[1]
    assert isinstance(weight, fx.Node)
    shape = [dim.now.size for dim in p.dims(weight)]
    x = p.x
    if shape[1] != 1 or len(args) < 7 or args[6] != shape[0]:
        raise p.refuse("has groups of several channels")
    kernel = centred((x.shape[1], 1, *shape[2:]), x)
    return run_node(p.node, (x, kernel, None, *args[3:6], x.shape[1]), {})  # type: ignore[no-any-return]


def centred(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Kernels ``[channels, 1, ...]`` that are 1 in their centres."""
    kernel = like.new_zeros(shape)
    centre: tuple[Any, ...] = (slice(None), 0, *(size // 2 for size in shape[2:]))
    kernel[centre] = 1
    return kernel


NodeTail = Callable[[Passage], Any]

_COPIES = (
    "alias", "clone", "contiguous", "detach", "to", "_to_copy", "type_as", "float", "double", "dropout",
    "feature_dropout", "batch_norm", "group_norm",
)  # fmt: skip
_LINEAR = (
    "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d",
    "mean", "sum", "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample_bilinear2d",
    "upsample_bicubic2d", "pad", "constant_pad_nd", "permute", "transpose", "unsqueeze", "squeeze", "select",
)  # fmt: skip

PASSINGS: dict[str, NodeTail] = {
    **dict.fromkeys(("add", "sub"), added),
    **dict.fromkeys(("mul", "div"), multiplied),
    **dict.fromkeys(_COPIES, same),
    **dict.fromkeys(("max_pool1d", "max_pool2d", "max_pool3d"), averaged),
    "adaptive_max_pool2d": averaged_to_size,
    **dict.fromkeys(_LINEAR, as_is),
    **dict.fromkeys(("view", "reshape", "flatten", "unflatten", "_unsafe_view"), viewed),
    **dict.fromkeys(("cat", "concat"), joined),
    "slice": picked,
    **dict.fromkeys(("layer_norm", "rms_norm"), normalised),
    **dict.fromkeys(("split", "split_with_sizes", "chunk"), cut),
    "unbind": taken_apart,
    "getitem": taken,
    **dict.fromkeys(("expand", "expand_as"), repeated),
    **dict.fromkeys(("matmul", "bmm"), multiplied_by_matrix),
    "scaled_dot_product_attention": attended,
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), depthwise),
}
"""How channels pass; pointwise operations that are not here are activations."""


def find_passing(node: fx.Node) -> NodeTail | None:
    """The rule of an operation; None where there is none."""
    found = PASSINGS.get(plain_name(node))
    if found is None and (torch.Tag.pointwise in getattr(node.target, "tags", ()) or raw_name(node) in _MORE):
        return activation
    return found


_MORE = frozenset({"hardswish", "hardswish_", "hardsigmoid", "hardtanh", "hardtanh_", "softplus", "relu6", "relu6_"})
