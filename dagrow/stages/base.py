"""What a node does to the values that it merges, in stages: the interface that each stage's file fills in.

A stage says once what it is: its layer, the calls it makes in the forward pass (in ``torch.fx`` and in exported
Python), the shape behind it, and what it does to some features beside the network, as statistics and trials need it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from dagrow.layout import TensorLayout
from dagrow.ops import Activation
from dagrow.spec.graph import NodeSpec


@dataclass(frozen=True)
class FunctionCall:
    """A function or tensor method in the forward pass.

    Attributes:
        function: of the value and `arguments`; a text names a method of the value.
        arguments: constants that follow the value.
        suffix: of the call's name in the code, after the node's.
        template: the Python expression, ``{}`` where the value goes.
    """

    function: Callable[..., Any] | str
    arguments: tuple[Any, ...]
    suffix: str
    template: str


def no_norm(name: str, z: Tensor) -> Tensor:
    """For nodes that are known to have none."""
    raise AssertionError(f"the norm of '{name}' is not given")


@dataclass(frozen=True)
class NodeTail:
    """How some features of a node pass its stages where the layers themselves cannot be used.

    Attributes:
        norm: normalises them at the node of that name.
        activation: stands in for the activation function; None for the function itself.
        training: whether values are dropped.
    """

    norm: Callable[[str, Tensor], Tensor] = no_norm
    activation: Callable[[Activation, Tensor], Tensor] | None = None
    training: bool = False


class Stage(ABC):
    """One stage; all it says is about a node's declaration and the shape that comes to the stage."""

    name: ClassVar[str]
    """Its field in the spec, and its layer below the node."""

    @abstractmethod
    def used(self, node: NodeSpec, shape: TensorLayout) -> bool:
        """Whether the node does this at all."""

    def output(self, node: NodeSpec, shape: TensorLayout) -> TensorLayout:
        """Shape behind the stage.

        Raises:
            ShapeError: if the stage cannot take the shape.
        """
        return shape

    def has_layer(self, node: NodeSpec, shape: TensorLayout) -> bool:
        """Whether it has a layer; else calls alone do it."""
        return False

    def module(self, node: NodeSpec, shape: TensorLayout) -> nn.Module:
        """Its layer, where it has one."""
        raise AssertionError(f"'{self.name}' has no layer")

    def export_line(self, node: NodeSpec, shape: TensorLayout) -> str | None:
        """The Python expression that makes the layer of an exported class; None where that class needs none."""
        return None

    def calls(self, node: NodeSpec, shape: TensorLayout) -> tuple[FunctionCall, ...]:
        """What is called behind the layer, or instead of one."""
        return ()

    def template(self, node: NodeSpec) -> str:
        """What exported code calls where there is a layer and no `export_line`, ``{}`` for the value."""
        raise AssertionError(f"'{self.name}' has a layer in exported code")

    def parameter_count(self, node: NodeSpec, shape: TensorLayout) -> int:
        """Learned numbers of the layer."""
        return 0

    def multiply_adds(self, node: NodeSpec, shape: TensorLayout) -> int:
        """Multiplications with additions for one sample, where they count beside those of edges."""
        return 0

    def keeps_units(self, node: NodeSpec) -> bool:
        """Whether what comes out is twice as large if what comes in is."""
        return True

    def why_fixed(self, name: str, node: NodeSpec, shape: TensorLayout) -> str:
        """Why the features of the node called ``name``, or those that pass it, cannot get others beside them; or ''."""
        return ""

    @abstractmethod
    def run(self, name: str, node: NodeSpec, shape: TensorLayout, x: Tensor, how: NodeTail) -> Tensor:
        """What it does to some features of the node called ``name``, beside the network.

        Args:
            name: of the node.
            node: its declaration.
            shape: of one sample of all its features; ``x`` may hold another number of them.
            x: values.
            how: what stands in for layers.
        """
