"""What each operator becomes in the graph language: an edge, a stage of a node, a sum or concat, or nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from dagrow.capture import run_node
from dagrow.ops import ACTIVATIONS, Pool, find_op, op_names
from dagrow.translate.operation import Operation, shape_of
from dagrow.translate.values import Values
from dagrow.translate.writer import Draft, Part

_GRID = torch.linspace(-4, 4, 41, dtype=torch.float64)
_AXES = re.compile(r"[123]d$")
_NORM_ARGUMENTS = {"eps": 1e-5, "momentum": 0.1}
"""What the norms of the graph language have."""

Rule = Callable[[Operation, Values], Draft]


def rule_of(name: str) -> Rule | None:
    """The rule of an operator; None where the graph language has nothing like it."""
    if name in RULES:
        return RULES[name]
    if name in op_names():
        return _edge
    if name in ACTIVATIONS:
        return _activation
    return RULES.get(_AXES.sub("", name))


def _edge(operation: Operation, values: Values) -> Draft:
    """Linear layers and convolutions."""
    draft = values.first(operation)
    op = find_op(operation.name)
    arguments, fields = operation.arguments, op.model_fields
    if draft.pixel:
        operation.refuse("reads a map of one pixel behind a global average, which is a vector there")
    weight = values.tensor(operation, "weight")
    tensors = {"weight": weight} | ({"bias": values.tensor(operation, "bias")} if arguments["bias"] is not None else {})
    order = op.channel_order
    if draft.order is not None and order is not None and draft.order != order:
        operation.refuse(f"reads channels along another axis than that of {draft.order}")
    if arguments.get("groups", 1) != 1 and "groups" not in fields:
        operation.refuse("has groups")
    options = {name: value for name, value in arguments.items() if name in fields and name not in ("bias", "size")}
    if "kernel" in fields:
        options["kernel"] = values.shape(weight)[2:]
    options = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
    edge = values.checked(operation, lambda: op.model_validate({**options, "bias": "bias" in tensors}))
    size = values.channels(operation.node, draft)
    return Draft([Part(values.writer.named(draft), edge, tensors)], draft.order, operation.hint, size)


def _activation(operation: Operation, values: Values) -> Draft:
    own = ACTIVATIONS[operation.name]
    found: Tensor = run_node(operation.node, (_GRID, *operation.node.args[1:]), dict(operation.node.kwargs))
    if not torch.equal(found, own.function(_GRID)):
        operation.refuse("has other options than the activation of that name")
    return values.staged(operation, {"activation": operation.name})


def _batch_norm(operation: Operation, values: Values) -> Draft:
    draft = values.first(operation)
    if draft.pixel or draft.order == "channels_last":
        operation.refuse("is over the samples of tokens, or of maps of one pixel")
    _check_norm(operation, _NORM_ARGUMENTS)
    names = ("weight", "bias", "running_mean", "running_var")
    tensors = {name: values.tensor(operation, name) for name in names}
    counted = f"{tensors['running_mean'].rpartition('.')[0]}.num_batches_tracked".lstrip(".")
    if values.has(counted):
        tensors["num_batches_tracked"] = counted
    return values.staged(operation, {"norm": "batch"}, tensors)


def _layer_norm(operation: Operation, values: Values) -> Draft:
    draft = values.first(operation)
    _check_norm(operation, {"eps": _NORM_ARGUMENTS["eps"]})
    if len(operation.arguments["normalized_shape"]) > 1 or draft.order == "channels_first":
        operation.refuse("is over more than the features of a vector or token")
    return _one_group(operation, values)


def _rms_norm(operation: Operation, values: Values) -> Draft:
    draft = values.first(operation)
    if operation.arguments["eps"] is not None:
        operation.refuse(f"has eps {operation.arguments['eps']}: that of the graph language is torch's own")
    if len(operation.arguments["normalized_shape"]) > 1 or draft.order == "channels_first":
        operation.refuse("is over more than the features of a vector or token")
    return values.staged(operation, {"norm": "rms"}, {"weight": values.tensor(operation, "weight")})


def _group_norm(operation: Operation, values: Values) -> Draft:
    draft = values.first(operation)
    _check_norm(operation, {"eps": _NORM_ARGUMENTS["eps"]})
    if operation.arguments["num_groups"] != 1 or draft.order != "channels_first":
        operation.refuse("has groups: the norm of the graph language is over all channels")
    return _one_group(operation, values)


def _one_group(operation: Operation, values: Values) -> Draft:
    if values.first(operation).pixel:
        operation.refuse("is over a map of one pixel, which is a vector there")
    return values.staged(
        operation, {"norm": "layer"}, {name: values.tensor(operation, name) for name in ("weight", "bias")}
    )


def _check_norm(operation: Operation, options: dict[str, float]) -> None:
    for name, value in options.items():
        if operation.arguments[name] != value:
            operation.refuse(f"has {name} {operation.arguments[name]}: that of the graph language is {value}")


def _window(kind: str) -> Rule:
    def pool(operation: Operation, values: Values) -> Draft:
        arguments = operation.arguments
        plain = {"ceil_mode": False, "count_include_pad": True, "divisor_override": None}
        if any(arguments.get(name, value) != value for name, value in plain.items()):
            operation.refuse("has options that the pools of the graph language have not")
        if set(_listed(arguments.get("dilation", 1))) != {1}:
            operation.refuse("is dilated")
        kernel = _one(operation, arguments["kernel_size"], "kernel")
        stride = _one(operation, arguments["stride"] or kernel, "stride")
        padding = _one(operation, arguments["padding"], "padding")
        fields = {"kind": kind, "kernel": kernel, "padding": padding} | ({} if stride == kernel else {"stride": stride})
        return values.staged(operation, {"pool": values.checked(operation, lambda: Pool.model_validate(fields))})

    return pool


def _adaptive(operation: Operation, values: Values) -> Draft:
    draft = values.first(operation)
    if draft.pixel:
        return values.unchanged(operation)
    before, after = shape_of(operation.first)[2:], shape_of(operation.node)[2:]
    if draft.order != "channels_first" or len(before) != len(after):
        operation.refuse("is over no map")
    if before == after:
        return values.unchanged(operation)
    if set(after) == {1}:
        return _global(operation, values, pixel=True)
    times = {a // b for a, b in zip(before, after, strict=True)}
    if len(times) != 1 or any(a % b for a, b in zip(before, after, strict=True)):
        operation.refuse(f"makes {list(after)} of {list(before)}: no window of one size does that")
    return values.staged(operation, {"pool": Pool(kind="average", kernel=times.pop())})


def _mean(operation: Operation, values: Values) -> Draft:
    draft, before = values.first(operation), shape_of(operation.first)
    rank, dims = len(before), operation.arguments.get("dim")
    axes = {axis % rank for axis in _listed(dims if dims is not None else [])}
    positions = {"channels_first": set(range(2, rank)), "channels_last": set(range(1, rank - 1)), None: set[int]()}
    if not axes or draft.pixel or axes != positions[draft.order]:
        operation.refuse("is over other axes than all positions")
    if operation.arguments.get("keepdim") and draft.order == "channels_last":
        operation.refuse("keeps axes of extent 1")
    return _global(operation, values, pixel=bool(operation.arguments.get("keepdim")))


def _global(operation: Operation, values: Values, pixel: bool) -> Draft:
    draft = values.staged(operation, {"pool": Pool(kind="global_average")})
    draft.order, draft.pixel = None, pixel
    return draft


def _upsample(operation: Operation, values: Values) -> Draft:
    before, after = shape_of(operation.first)[2:], shape_of(operation.node)[2:]
    times = {b / a for a, b in zip(before, after, strict=True)}
    if len(times) != 1 or (factor := times.pop()) != int(factor):
        operation.refuse("does not make all axes the same whole number of times as large")
    return values.staged(operation, {"pool": Pool(kind="upsample", kernel=int(factor))})


def _reshaped(operation: Operation, values: Values) -> Draft:
    """Flattening; or nothing, where a value only loses axes of extent 1 that its node has not."""
    draft, before, after = values.first(operation), shape_of(operation.first), shape_of(operation.node)
    if before == after:
        return values.unchanged(operation)
    if after != (before[0], math.prod(before[1:])):
        operation.refuse(f"makes {list(after[1:])} of {list(before[1:])}: the graph language flattens to a vector")
    if draft.order is None:
        found = values.unchanged(operation)
        found.pixel = False
        return found
    flat = values.staged(operation, {"flatten": True})
    flat.order = None
    return flat


def _dropout(operation: Operation, values: Values) -> Draft:
    share = float(operation.arguments["p"])
    if share == 0:
        return values.unchanged(operation)
    return values.staged(operation, {"dropout": share})


def _sum(operation: Operation, values: Values) -> Draft:
    nodes = [operation.arguments["self"], operation.arguments["other"]]
    if operation.arguments.get("alpha", 1) != 1:
        operation.refuse("multiplies what it adds")
    return _joined(operation, values, nodes, "sum")


def _concat(operation: Operation, values: Values) -> Draft:
    nodes = list(operation.arguments["tensors"])
    first = values.of(nodes[0])
    rank = len(shape_of(operation.node))
    axis = 1 if first.order != "channels_last" else rank - 1
    if operation.arguments["dim"] % rank != axis:
        operation.refuse("is along another axis than that of the channels")
    return _joined(operation, values, nodes, "concat")


def _joined(operation: Operation, values: Values, nodes: Sequence[Any], merge: str) -> Draft:
    if not all(isinstance(node, fx.Node) and values.knows(node) for node in nodes):
        operation.refuse("takes a number or a tensor that no layer computes")
    drafts = [values.of(node) for node in nodes]
    shapes = [shape_of(node) for node in nodes]
    if len({(draft.order, draft.pixel) for draft in drafts}) > 1 or (merge == "sum" and len(set(shapes)) > 1):
        operation.refuse("joins values of different shapes")
    alone = [values.read_once(node) for node in nodes]
    size = values.channels(operation.node, drafts[0])
    return values.writer.joined(drafts, alone, merge, f"{operation.owner}_{merge}", size)


def _unchanged(operation: Operation, values: Values) -> Draft:
    if shape_of(operation.first) != shape_of(operation.node):
        operation.refuse("changes the shape")
    before, after = (node.meta["val"].dtype for node in (operation.first, operation.node))
    if before != after:
        operation.refuse(f"makes {after} of {before}")
    return values.unchanged(operation)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _one(operation: Operation, value: Any, what: str) -> int:
    """The one number that is meant for all axes."""
    found = set(_listed(value))
    if len(found) != 1:
        operation.refuse(f"has a {what} that is not the same along all axes")
    return int(found.pop())


RULES: dict[str, Rule] = {
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "rms_norm": _rms_norm,
    "group_norm": _group_norm,
    "max_pool": _window("max"),
    "avg_pool": _window("average"),
    "adaptive_avg_pool": _adaptive,
    "mean": _mean,
    "upsample_nearest": _upsample,
    "flatten": _reshaped,
    "view": _reshaped,
    "reshape": _reshaped,
    "_unsafe_view": _reshaped,
    "squeeze": _reshaped,
    "dropout": _dropout,
    "add": _sum,
    "cat": _concat,
    "contiguous": _unchanged,
    "clone": _unchanged,
    "alias": _unchanged,
    "to": _unchanged,
}
