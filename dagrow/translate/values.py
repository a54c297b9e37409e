"""The values of a captured graph that were written, and what rules ask about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from torch import Tensor, fx

from dagrow.translate.operation import Operation, shape_of
from dagrow.translate.writer import Draft, GraphWriter

T = TypeVar("T")


class Values:
    """The drafts of nodes by the values that they stand for.

    Args:
        names: per placeholder of a tensor of the module, its name there.
        tensors: of the module.
        needed: the operations that an output needs.
        outputs: the values that are the answer.
    """

    def __init__(
        self,
        names: Mapping[str, str],
        tensors: Mapping[str, Tensor],
        needed: frozenset[fx.Node],
        outputs: tuple[fx.Node, ...],
    ) -> None:
        self.writer = GraphWriter()
        self._names, self._tensors, self._needed, self._outputs = names, tensors, needed, outputs
        self._drafts: dict[fx.Node, Draft] = {}
        self._used: dict[str, str] = {}

    def put(self, node: fx.Node, draft: Draft) -> None:
        """Says what stands for a value."""
        self._drafts[node] = draft

    def knows(self, node: fx.Node) -> bool:
        """Whether a value was written: it is no tensor of the module."""
        return node in self._drafts

    def of(self, node: fx.Node) -> Draft:
        """What stands for a value."""
        return self._drafts[node]

    def first(self, operation: Operation) -> Draft:
        """What stands for the value that an operation is applied to.

        Raises:
            CaptureError: if that is no value of a layer or input.
        """
        if operation.first not in self._drafts:
            operation.refuse("is not applied to a value of a layer or input")
        return self._drafts[operation.first]

    def channels(self, node: fx.Node, draft: Draft) -> int:
        """How many channels a value has, in the order of a draft."""
        return shape_of(node)[1 if draft.pixel or draft.order == "channels_first" else -1]

    def read_once(self, node: fx.Node) -> bool:
        """Whether a value is read by one operation alone, and is no answer."""
        # What asks for its shape alone does not count.
        readers = sum(user in self._needed and bool(shape_of(user)) for user in node.users)
        return readers + self._outputs.count(node) == 1

    def staged(self, operation: Operation, fields: dict[str, Any], tensors: Mapping[str, str] | None = None) -> Draft:
        """A value after one more stage: of its own node, or of a new one behind it."""
        draft, (stage,) = self.first(operation), fields
        if not self.read_once(operation.first) or not draft.takes(stage):
            draft = self.writer.behind(draft, operation.hint)
        draft.stages |= fields
        draft.tensors |= tensors or {}
        return draft

    def unchanged(self, operation: Operation) -> Draft:
        """The same value."""
        draft = self.first(operation)
        if self.read_once(operation.first):
            return draft
        return self.writer.behind(draft, operation.hint)

    def tensor(self, operation: Operation, argument: str) -> str:
        """The name of a tensor of the module that an operation is given.

        Raises:
            CaptureError: if it is given none, something computed, or one that another operation has too.
        """
        node = operation.arguments.get(argument)
        if node is None:
            operation.refuse(f"has no {argument}")
        name = self._names.get(node.name) if isinstance(node, fx.Node) else None
        if name is None:
            operation.refuse(f"has a {argument} that is computed")
        if name in self._used:
            operation.refuse(f"has the {argument} {name}, which {self._used[name]} has too")
        self._used[name] = str(operation)
        return name

    def has(self, name: str) -> bool:
        """Whether the module has a tensor of that name."""
        return name in self._tensors

    def shape(self, name: str) -> tuple[int, ...]:
        """Extents of a tensor of the module."""
        return tuple(self._tensors[name].shape)

    def checked(self, operation: Operation, make: Callable[[], T]) -> T:
        """A part of a spec, which an operation is refused for if it cannot be."""
        try:
            return make()
        except ValidationError as error:
            operation.refuse(f"cannot be written: {error.errors()[0]['msg']}")
