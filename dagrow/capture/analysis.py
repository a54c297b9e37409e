"""One walk over a captured graph: dimensions of all values, and what the rules found on the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, fx, nn

from dagrow.capture.dims import Dim, fix
from dagrow.capture.exported import Exported
from dagrow.capture.rules import Context, Findings, NoRule, find_rule, fresh, op_name
from dagrow.capture.values import Source, Value

_CLOSED: tuple[tuple[type[nn.Module], str], ...] = (
    (
        nn.MultiheadAttention,
        "nn.MultiheadAttention asserts that its inner size is that of its input: see dagrow.with_plain_attention",
    ),
)
"""Layers whose sizes torch does not let change one by one."""


@dataclass(frozen=True)
class Analysis:
    """What is known of a captured graph.

    Attributes:
        exported: the graph.
        values: of its nodes; of nodes with several tensors, a tuple.
        tensors: per tensor of the module, its dimensions; aliases of one tensor share them.
        aliases: per name of a tensor, the first name of the same tensor.
        found: uses, norms, operations without a rule.
    """

    exported: Exported
    values: Mapping[fx.Node, Value | tuple[Value, ...]]
    tensors: Mapping[str, tuple[Dim, ...]]
    aliases: Mapping[str, str]
    found: Findings


def analyse(model: nn.Module, exported: Exported) -> Analysis:
    """Walks over the graph.

    Args:
        model: that was captured.
        exported: the graph.
    """
    aliases = _aliases(model)
    nodes = list(exported.graph.nodes)
    found = Findings(shared=_shared(nodes, exported, aliases))
    values: dict[fx.Node, Value | tuple[Value, ...]] = {}
    tensors: dict[str, tuple[Dim, ...]] = {}
    for node in nodes:
        if node.op == "placeholder":
            if (name := exported.tensors.get(node.name)) is not None:
                name = aliases.get(name, name)
                if name not in tensors:
                    tensors[name] = fresh(node.meta["val"]).dims
                values[node] = Value(tensors[name], Source(name, tuple(range(len(tensors[name])))))
            elif isinstance(node.meta.get("val"), Tensor):
                constant = node.name in exported.constants
                values[node] = fresh(
                    node.meta["val"], "it is of a constant in the code" if constant else "it is an input"
                )
        elif node.op == "call_function":
            _add(node, values, found)
    for node in exported.outputs:
        for value in _values(values.get(node)) if node is not None else ():
            for dim in value.dims:
                fix(dim, "it is an output")
    _close(model, tensors, aliases)
    every = {alias: tensors[name] for alias, name in aliases.items() if name in tensors}
    return Analysis(exported, values, {**tensors, **every}, aliases, found)


def _add(node: fx.Node, values: dict[fx.Node, Value | tuple[Value, ...]], found: Findings) -> None:
    out = node.meta.get("val")
    if not _has_tensors(out):
        return
    context = Context(node, values, found)
    rule = find_rule(context)
    result: Value | tuple[Value, ...] | None = None
    if rule is not None:
        try:
            result = rule(context)
        except (NoRule, KeyError, StopIteration):
            result = None
    if result is None or not _fits(result, out):
        result = _unknown(context)
    values[node] = result


def _unknown(context: Context) -> Value | tuple[Value, ...]:
    """All dimensions that an operation without a rule touches are fixed."""
    name = op_name(context.node)
    context.found.unknown[name] = context.found.unknown.get(name, 0) + 1
    reason = f"no rule for the operation {context.where}"
    for argument in context.node.all_input_nodes:
        for value in _values(context.values.get(argument)):
            for dim in value.dims:
                fix(dim, reason)
    out = context.out
    if isinstance(out, Tensor):
        return fresh(out, reason)
    return tuple(fresh(part, reason) if isinstance(part, Tensor) else Value(()) for part in out)


def _fits(result: Value | tuple[Value, ...], out: object) -> bool:
    outs = [out] if isinstance(out, Tensor) else list(out) if isinstance(out, (tuple, list)) else []
    results = _values(result)
    if isinstance(out, Tensor) != isinstance(result, Value) or len(outs) != len(results):
        return False
    for value, tensor in zip(results, outs, strict=True):
        if not isinstance(tensor, Tensor):
            continue
        shape = fresh(tensor).dims
        if len(shape) != len(value.dims) or any(a.size != b.now.size for a, b in zip(shape, value.dims, strict=True)):
            return False
    return True


def _values(found: Value | tuple[Value, ...] | None) -> tuple[Value, ...]:
    return () if found is None else (found,) if isinstance(found, Value) else found


def _has_tensors(out: object) -> bool:
    return isinstance(out, Tensor) or (isinstance(out, (tuple, list)) and any(isinstance(part, Tensor) for part in out))


def _aliases(model: nn.Module) -> dict[str, str]:
    """Per name of a parameter or buffer, the first name of the same tensor."""
    first: dict[int, str] = {}
    return {name: first.setdefault(id(tensor), name) for name, tensor in named_tensors(model)}


def named_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers by all their names."""
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers(remove_duplicate=False)


def _shared(nodes: list[fx.Node], exported: Exported, aliases: Mapping[str, str]) -> frozenset[str]:
    """Tensors of the module that several operations use, under one name or several, in different ways."""
    users: dict[str, set[str]] = {}
    for node in nodes:
        name = exported.tensors.get(node.name) if node.op == "placeholder" else None
        if name is not None:
            found = users.setdefault(aliases.get(name, name), set())
            for user in node.users:
                found.add(f"{op_name(user)} {[i for i, a in enumerate(user.args) if a is node]}")
    return frozenset(name for name, found in users.items() if len(found) > 1)


def _close(model: nn.Module, tensors: Mapping[str, tuple[Dim, ...]], aliases: Mapping[str, str]) -> None:
    for path, module in model.named_modules():
        for kind, reason in _CLOSED:
            if isinstance(module, kind):
                for name, _ in module.named_parameters(prefix=path):
                    for dim in tensors.get(aliases.get(name, name), ()):
                        fix(dim, f"{path}: {reason}")
