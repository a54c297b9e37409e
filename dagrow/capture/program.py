"""The captured operators as a program over live parameters: inner values are extra outputs, no hook is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from dagrow.capture.analysis import named_tensors
from dagrow.capture.exported import Exported, as_call
from dagrow.capture.inplace import is_in_place, plain_form, plain_name
from dagrow.errors import CaptureError, listed

_DROPOUT = frozenset({"dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout", "native_dropout"})
_CHECKS = frozenset({"_assert_tensor_metadata", "_assert_scalar", "sym_constrain_range_for_size"})
"""Of the example; they say nothing of a module that has grown."""


class Program:
    """Runs a captured graph over the module's tensors as they are now, without dropout. Buffers are only read.

    Args:
        model: that was captured.
        exported: its graph.
    """

    def __init__(self, model: nn.Module, exported: Exported) -> None:
        self.model, self.exported = model, exported

    def run(
        self,
        inputs: Any,
        wanted: Iterable[fx.Node] = (),
        change: Mapping[fx.Node, Callable[[Any], Any]] | None = None,
    ) -> tuple[list[Tensor], dict[fx.Node, Any]]:
        """Runs the graph.

        Args:
            inputs: as the module is called: a tensor, a tuple, or a dict.
            wanted: nodes whose values are to be returned.
            change: per node, what is made of its value before others read it.

        Returns:
            The tensors among the outputs, and the wanted values.
        """
        values = self.given(inputs)
        kept = set(wanted)
        last = _last_uses(self.exported.graph)
        found: dict[fx.Node, Any] = {node: values[node] for node in kept if node in values}
        results = {node for node in self.exported.outputs if node is not None}
        outputs: dict[fx.Node, Any] = {node: values[node] for node in results if node in values}
        for node in self.exported.graph.nodes:
            if node.op == "get_attr":
                values[node] = getattr(self.exported.root, str(node.target))
            if node.op != "call_function":
                continue
            args = fx.node.map_arg(node.args, values.__getitem__)
            kwargs = fx.node.map_arg(node.kwargs, values.__getitem__)
            value = run_node(node, args, kwargs)
            if change is not None and node in change:
                value = change[node](value)
            values[node] = value
            if node in kept:
                found[node] = value
            if node in results:
                outputs[node] = value
            for gone in last.get(node, ()):
                del values[gone]
        return [outputs[node] for node in self.exported.outputs if node is not None and node in outputs], found

    def leaves(self, inputs: Any) -> list[Tensor]:
        """The tensors among the outputs."""
        return [leaf for leaf in self.run(inputs)[0] if isinstance(leaf, Tensor)]

    def packed(self, leaves: list[Tensor]) -> Any:
        """Outputs in the form that the module returns."""
        rest = iter(leaves)
        return self.exported.unflatten([None if node is None else next(rest) for node in self.exported.outputs])

    def given(self, inputs: Any) -> dict[fx.Node, Any]:
        """The values of the placeholders.

        Raises:
            CaptureError: if the inputs have not the form of the example.
        """
        args, kwargs = as_call(inputs)
        if set(kwargs) != set(self.exported.keywords):
            raise CaptureError(
                f"the example had the named inputs [{listed(self.exported.keywords)}], these are [{listed(kwargs)}]"
            )
        leaves = pytree.tree_leaves((args, {name: kwargs[name] for name in self.exported.keywords}))
        if len(leaves) != len(self.exported.inputs):
            raise CaptureError(
                f"the example had {len(self.exported.inputs)} inputs, these are {len(leaves)}; give the same form"
            )
        by_name = dict(zip(self.exported.inputs, leaves, strict=True))
        tensors = dict(named_tensors(self.model))
        values = {}
        for node in self.exported.graph.nodes:
            if node.op == "placeholder":
                name = self.exported.tensors.get(node.name)
                if name is not None:
                    values[node] = tensors[name]
                else:
                    values[node] = by_name[node.name] if node.name in by_name else self.exported.constants[node.name]
        return values


def run_node(node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The value of one operation, for arguments that are left as they are.

    Args:
        node: of a captured graph.
        args: values in place of its arguments.
        kwargs: likewise, of its named ones.
    """
    name = plain_name(node)
    if name in _CHECKS:
        return None
    if name in _DROPOUT:
        return (args[0], torch.ones_like(args[0], dtype=torch.bool)) if name == "native_dropout" else args[0]
    if name == "scaled_dot_product_attention" and len(args) > 4:
        args = (*args[:4], 0.0, *args[5:])
    if name == "batch_norm" and args[5]:
        # It moves the running mean and variance.
        args = (*args[:3], *(None if moving is None else moving.clone() for moving in args[3:5]), *args[5:])
    function = plain_form(node) if is_in_place(node) else node.target
    return function(*args, **kwargs)  # type: ignore[operator]


def _last_uses(graph: fx.Graph) -> dict[fx.Node, list[fx.Node]]:
    """Per node, the nodes whose values nobody needs after it."""
    last: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        if node.op == "call_function":
            last[node] = node
            for argument in node.all_input_nodes:
                last[argument] = node
    found: dict[fx.Node, list[fx.Node]] = {}
    for node, user in last.items():
        found.setdefault(user, []).append(node)
    return found
