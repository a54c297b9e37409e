"""A network of the graph language that computes what a captured module computes, with its weights."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import fx
from torch.utils import _pytree as pytree

from dagrow.build import Network, build
from dagrow.capture import CapturedModule, as_call, named_tensors, op_name
from dagrow.capture.exported import Exported
from dagrow.errors import CaptureError, SpecError
from dagrow.layout import ChannelOrder
from dagrow.ops import find_op, op_names
from dagrow.resize.kept import keeps, outputs_of, runnable_modes
from dagrow.translate.operation import Operation, shape_of
from dagrow.translate.rules import rule_of
from dagrow.translate.values import Values


def network_of(captured: CapturedModule) -> Network:
    """Writes a module in the graph language: linear layers, convolutions, norms, activations, pools, sums, concats.

    `.spec` of the network is the graph, for `dagrow.save_graph`; its weights are copies, in the format, on the device
    and in the mode of the module, which stays as it is. Outputs were compared on the examples.

    Args:
        captured: from `dagrow.from_module`.

    Returns:
        A network like those of `dagrow.build`.

    Raises:
        CaptureError: if the module does not fit the graph language: naming the operation, its layer and the line.
    """
    exported = captured.exported
    outputs = tuple(node for node in exported.outputs if node is not None)
    if len(outputs) != len(exported.outputs) or not outputs:
        raise CaptureError(f"{type(captured.model).__name__} returns what is no tensor: the graph language has none")
    needed = _needed(outputs)
    tensors = dict(named_tensors(captured.model))
    values = Values(exported.tensors, tensors, needed, outputs)
    _read_inputs(exported, needed, values)
    for node in exported.graph.nodes:
        if node in needed and node.op == "call_function" and shape_of(node):
            operation = Operation(node)
            rule = rule_of(operation.name)
            if rule is None:
                operation.refuse("has nothing like it there")
            values.put(node, rule(operation, values))
    if any(values.of(node).pixel for node in outputs):
        raise CaptureError("an output keeps positions of extent 1 behind a global average: flatten it")
    try:
        network = build(values.writer.graph([values.of(node) for node in outputs]), seed=0)
    except SpecError as error:
        first = str(error).splitlines()[0]
        raise CaptureError(f"{type(captured.model).__name__} does not fit the graph language: {first}") from error
    _carry(network, captured, values.writer.tensors)
    _check(network, captured)
    return network


def _needed(outputs: Iterable[fx.Node]) -> frozenset[fx.Node]:
    """The nodes that outputs are computed of."""
    found: set[fx.Node] = set()
    stack = list(outputs)
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            stack += node.all_input_nodes
    return frozenset(found)


def _read_inputs(exported: Exported, needed: frozenset[fx.Node], values: Values) -> None:
    for node in exported.graph.nodes:
        if node.op != "placeholder" or node.name not in exported.inputs:
            continue
        shape = shape_of(node)
        if node not in needed or not shape[1:]:
            raise CaptureError(f"the input '{node.name}' is not read, or no value with a batch axis")
        order = _order_of(node, needed) if shape[2:] else None
        values.put(node, values.writer.input(node.name, shape[1:], order))


def _order_of(source: fx.Node, needed: frozenset[fx.Node]) -> ChannelOrder | None:
    """Where an input has its channels, as the first layer with weights reads it; None if that does not say it."""
    seen, queue = {source}, [source]
    for node in queue:
        for user in node.users:
            if user in seen or user not in needed or len(shape_of(user)) != len(shape_of(source)):
                continue
            name = op_name(user)
            if name in op_names() and (order := find_op(name).channel_order) is not None:
                return order
            if name in _ORDERS:
                return _ORDERS[name]
            seen.add(user)
            queue.append(user)
    return None


_ORDERS: dict[str, ChannelOrder] = {
    "layer_norm": "channels_last",
    "rms_norm": "channels_last",
    "batch_norm": "channels_first",
    "group_norm": "channels_first",
}


@torch.no_grad()
def _carry(network: Network, captured: CapturedModule, names: dict[str, str]) -> None:
    """Gives the network the weights of the module."""
    first = next(captured.model.parameters(), None)
    if first is not None:
        network.to(first.device, first.dtype)
    theirs, own = dict(named_tensors(captured.model)), dict(named_tensors(network))
    for name, old in names.items():
        own[name].copy_(theirs[old])
        if own[name].is_floating_point():
            own[name].requires_grad_(theirs[old].requires_grad)
    network.train(captured.model.training)


def _check(network: Network, captured: CapturedModule) -> None:
    """Compares outputs, in the modes in which the module runs."""
    examples = captured.examples()
    modes = runnable_modes(captured.model, examples)
    expected = outputs_of(captured.model, examples, modes)
    if not keeps(network, [tuple(pytree.tree_leaves(as_call(each))) for each in examples], modes, expected):
        raise CaptureError(
            f"{type(captured.model).__name__} does not fit the graph language: the network of its operations gives "
            "other outputs"
        )
