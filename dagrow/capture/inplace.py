"""Operations in place, as ``relu_``: told from those that a captured graph can take for their plain forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import fx

_MAYBE_VIEWS = frozenset(
    [
        "reshape",
        "flatten",
        "unflatten",
        "contiguous",
        "to",
        "type_as",
        "float",
        "double",
        "dropout",
        "feature_dropout",
        "expand_as",
        "view_as",
        "squeeze",
        "chunk",
        "split",
        "split_with_sizes",
        "tensor_split",
        "unbind",
        "broadcast_to",
        "movedim",
        "swapaxes",
        "narrow",
        "getitem",
        "alias",
        "detach",
    ]
)
"""May return their argument, or a view of it, though their schemas do not say so."""


def is_in_place(node: fx.Node) -> bool:
    """Whether an operation writes to its first argument and returns it."""
    target = node.target
    return (
        isinstance(target, torch._ops.OpOverload) and target._schema.is_mutable and plain_name(node) != raw_name(node)
    )


def raw_name(node: fx.Node) -> str:
    """``relu_`` for ``aten.relu_.default``."""
    target = node.target
    if isinstance(target, torch._ops.OpOverload):
        return str(target._schema.name.rpartition("::")[2])
    return getattr(target, "__name__", str(target))


def plain_name(node: fx.Node) -> str:
    """``relu`` for ``aten.relu_.default``."""
    name = raw_name(node)
    return name[:-1] if name.endswith("_") and not name.endswith("__") else name


def plain_form(node: fx.Node) -> Callable[..., Any]:
    """The operation as a function that writes to nothing."""
    target = node.target
    assert isinstance(target, torch._ops.OpOverload)
    packet = getattr(torch.ops.aten, plain_name(node), None)
    overload = getattr(packet, target._overloadname, None)
    if overload is not None and target._schema.name.startswith("aten::"):
        found: Callable[..., Any] = overload
        return found
    return lambda first, *args, **kwargs: target(first.clone(), *args, **kwargs)


def is_safe(graph: fx.Graph) -> bool:
    """Whether each operation in place may be taken for its plain form: nobody looks at what it writes to afterwards."""
    order = {node: number for number, node in enumerate(graph.nodes)}
    alias: dict[fx.Node, fx.Node] = {}

    def root(node: fx.Node) -> fx.Node:
        while node in alias:
            node = alias[node]
        return node

    for node in graph.nodes:
        if node.op == "call_function" and node.args and isinstance(node.args[0], fx.Node) and _may_alias(node):
            alias[node] = root(node.args[0])
    groups: dict[fx.Node, list[fx.Node]] = {}
    for node in graph.nodes:
        groups.setdefault(root(node), []).append(node)
    for node in graph.nodes:
        if not is_in_place(node):
            continue
        for other in groups[root(node)]:
            before = order[other] < order[node]
            if before and any(order[user] > order[node] for user in other.users):
                return False
    return True


def _may_alias(node: fx.Node) -> bool:
    if raw_name(node) in _MAYBE_VIEWS or is_in_place(node):
        return True
    target = node.target
    return isinstance(target, torch._ops.OpOverload) and any(
        result.alias_info is not None for result in target._schema.returns
    )
