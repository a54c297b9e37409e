"""Which layers the exported class has: one list that the source, the weights and the checks all read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from dagrow.data import Preprocessing
from dagrow.errors import ExportError
from dagrow.export.identifiers import Identifiers
from dagrow.export.layout import tidy
from dagrow.export.subject import step_buffers
from dagrow.graph import Dag
from dagrow.stages import used_stages

CLASSES = "classes"
"""The attribute of the exported class with the names of the labels."""

# Long names would not leave room for a line of code; 28 is longer than what people call a node.
_LONGEST_VALUE, _LONGEST_BUFFER = 28, 40


@dataclass(frozen=True)
class Layer:
    """One layer of the exported class.

    Attributes:
        node: the node it belongs to.
        key: where it lives in our network: ``h.from_x``, ``h.norm``.
        attribute: its name in the exported class: ``x_to_h``, ``h_norm``.
        expression: the Python expression that makes it.
        place: what it is in the spec, for messages.
    """

    node: str
    key: str
    attribute: str
    expression: str
    place: str


@dataclass(frozen=True)
class Names:
    """All names in the exported class.

    Attributes:
        values: argument or local variable of each input and node.
        layers: the layers, in the order of the forward pass.
        buffers: attribute of each fitted value of the preprocessing, by its key.
    """

    values: dict[str, str]
    layers: tuple[Layer, ...]
    buffers: dict[tuple[str, int, str], str]

    def attributes(self) -> dict[str, str]:
        """Attribute in the exported class by the layer's key in our network."""
        return {layer.key: layer.attribute for layer in self.layers}


def names_of(dag: Dag, preprocessing: Preprocessing | None = None) -> Names:
    """Names for everything, unlike each other and unlike what ``nn.Module`` and the generated code use.

    Args:
        dag: the network's DAG.
        preprocessing: that the class holds too; it changes no other name.

    Raises:
        ExportError: if the export line of an op, norm, activation or pool is not a Python expression.
    """
    given = Identifiers(("self", "torch", "nn", "super"))
    # Inputs first: they are the signature, so of two like names it is the inner one that gives way.
    values = {name: given.add(name, _LONGEST_VALUE) for name in (*dag.spec.inputs, *dag.order)}
    given = Identifiers((*dir(nn.Module()), *values.values(), CLASSES))
    layers = []
    for key, wanted, line, place in (entry for node in dag.order for entry in _layers(dag, node)):
        layers.append(Layer(key.split(".")[0], key, given.add(wanted), _expression(line, place), place))
    buffers = {key: given.add(f"{values[key[0]]}_{key[2]}", _LONGEST_BUFFER) for key, _ in step_buffers(preprocessing)}
    return Names(values, tuple(layers), buffers)


def exported_keys(dag: Dag, keys: Iterable[str]) -> dict[str, str]:
    """The key in the exported class's ``state_dict`` for each key of our network's.

    Raises:
        ExportError: for a key of no known layer.
    """
    attributes = names_of(dag).attributes()
    found = {}
    for key in keys:
        node, layer, *rest = key.split(".", 2)
        if f"{node}.{layer}" not in attributes:
            raise ExportError(f"the network has '{key}', which its spec does not know")
        found[key] = ".".join((attributes[f"{node}.{layer}"], *rest))
    return found


def check_expressions(layers: Iterable[Layer]) -> None:
    """Makes every layer once, with nothing but torch at hand.

    Raises:
        ExportError: naming the layer that needs more.
    """
    for layer in layers:
        try:
            with torch.device("cpu"):
                made = eval(layer.expression, {"torch": torch, "nn": nn})
        except Exception as error:
            raise ExportError(
                f"{layer.place}: its export_line '{layer.expression}' does not work with torch alone "
                f"({type(error).__name__}: {error}); let it return an expression of torch.nn layers, "
                "or export to pt2 or onnx"
            ) from error
        try:
            nn.Sequential(made)
        except TypeError as error:
            raise ExportError(
                f"{layer.place}: its export_line '{layer.expression}' makes no nn.Module but {type(made).__name__}"
            ) from error


def _layers(dag: Dag, name: str) -> list[tuple[str, str, str, str]]:
    """Key, wanted attribute, export line and place of each layer of a node, as `dagrow.build` makes them."""
    node = dag.node(name)
    found = []
    for edge in dag.incoming[name]:
        op = dag.op(edge)
        if op.parametrised:
            line = op.export_line(dag.output(edge.source), dag.written(edge))
            wanted = f"{edge.source}_to_{edge.target}"
            found.append((f"{name}.from_{edge.source}", wanted, line, f"edge {edge}, op '{op.name}'"))
    for stage, shape in used_stages(node, dag.merged(name)):
        if (own := stage.export_line(node, shape)) is not None:
            part = stage.name
            found.append((f"{name}.{part}", f"{name}_{part}", own, f"{part} of node '{name}'"))
    return found


def _expression(line: str, place: str) -> str:
    try:
        return tidy(line)
    except (SyntaxError, ValueError) as error:
        raise ExportError(f"{place}: its export_line is not a Python expression: {line!r}") from error
