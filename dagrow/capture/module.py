"""A person's own module as it is captured: its channel spaces, and its operators over its live parameters."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from dagrow.capture.analysis import Analysis, analyse
from dagrow.capture.channel_spaces import Space, find_spaces, spaces_by_name
from dagrow.capture.exported import Exported, as_call, batch_size, export, with_batch
from dagrow.capture.program import Program
from dagrow.errors import CaptureError
from dagrow.registry import unknown


class CapturedModule:
    """A module that a person wrote, and what was found in it. The module is not wrapped and its forward not touched.

    Args:
        model: any module that ``torch.export`` takes.
        example_inputs: what it is called with: a tensor, a tuple of arguments, or a dict of named ones.

    Raises:
        CaptureError: in one sentence, with the line of the model's own code, if it cannot be captured.

    Attributes:
        model: the module.
        example_inputs: as given.
        attributes: per path of a submodule, what growth has set on it: sizes, and ``eps`` of norms.
        fitting: per spaces that have grown together, the attributes of the person's own code that had to be set, as
            ``(path, name)``; shared with copies.
        outdated: whether the module has changed since it was captured; then it is captured again when it is asked for.
    """

    def __init__(self, model: nn.Module, example_inputs: Any) -> None:
        if not isinstance(model, nn.Module):
            raise CaptureError(f"from_module takes a torch.nn.Module, not {type(model).__name__}")
        self.model, self.example_inputs = model, example_inputs
        self.attributes: dict[str, dict[str, Any]] = {}
        self.fitting: dict[tuple[str, ...], tuple[tuple[str, str], ...]] = {}
        self.outdated, self._mode = True, model.training
        self._current()

    def _current(self) -> tuple[Exported, Analysis, tuple[Space, ...]]:
        if self.outdated or self._mode != self.model.training:
            exported = export(self.model, self.example_inputs)
            analysis = analyse(self.model, exported)
            self._found = exported, analysis, find_spaces(analysis)
            self.outdated, self._mode = False, self.model.training
        return self._found

    @property
    def exported(self) -> Exported:
        """The captured operators."""
        return self._current()[0]

    @property
    def analysis(self) -> Analysis:
        """The dimensions of every value."""
        return self._current()[1]

    @property
    def spaces(self) -> tuple[Space, ...]:
        """All channel spaces, in the order of the module's tensors."""
        return self._current()[2]

    @property
    def program(self) -> Program:
        """The captured operators over the module's parameters as they are now."""
        return Program(self.model, self.exported)

    def copied(self) -> CapturedModule:
        """A deep copy of the module, as it is captured here: what is done to it does not reach this one."""
        self._current()
        other = CapturedModule.__new__(CapturedModule)
        vars(other).update(vars(self))
        other.model = copy.deepcopy(self.model)
        other.attributes = {path: dict(own) for path, own in self.attributes.items()}
        return other

    def space(self, name: str) -> Space:
        """The space of that name.

        Raises:
            CaptureError: with the nearest name, if there is none.
        """
        found = spaces_by_name(self.spaces)
        if name not in found:
            raise CaptureError(unknown("space", name, found))
        return found[name]

    @property
    def growable(self) -> tuple[Space, ...]:
        """The spaces that can grow."""
        return tuple(space for space in self.spaces if space.grows)

    def __call__(self, inputs: Any) -> Any:
        """What the module returns, for inputs in the form of the example."""
        args, kwargs = as_call(inputs)
        return self.model(*args, **kwargs)

    def __str__(self) -> str:
        grows = len(self.growable)
        head = f"{type(self.model).__name__}: {len(self.spaces)} channel spaces, {grows} can grow"
        unknown = self.analysis.found.unknown
        lines = [head, *(f"no rule for {name}, {count} times" for name, count in unknown.items())]
        return "\n".join([*lines, *map(str, self.spaces)])

    def examples(self) -> tuple[Any, ...]:
        """The example inputs, and the same with another batch size where that may differ."""
        if not self.exported.any_batch:
            return (self.example_inputs,)
        size = max(2, batch_size(self.example_inputs))
        return with_batch(self.example_inputs, size), with_batch(self.example_inputs, size + 1)


def from_module(model: nn.Module, example_inputs: Any) -> CapturedModule:
    """Captures a module of one's own, to grow it in place.

    Args:
        model: any module that ``torch.export`` takes; it stays as it is.
        example_inputs: what it is called with: a tensor, a tuple of arguments, or a dict of named ones.

    Raises:
        CaptureError: in one sentence, with the line of the model's own code, if it cannot be captured, or if what was
            captured does not compute what the module does.
    """
    captured = CapturedModule(model, example_inputs)
    check_same(captured)
    return captured


@torch.no_grad()
def check_same(captured: CapturedModule) -> None:
    """Compares the captured operators with the module, at each batch size that the examples have.

    Raises:
        CaptureError: if they differ.
    """
    if captured.model.training:
        # Dropout would draw twice, and running means move: in train mode the operators are taken as they are.
        return
    for inputs in captured.examples():
        for found, expected in zip(captured.program.leaves(inputs), _tensors(captured(inputs)), strict=True):
            size = float(expected.abs().max()) if expected.numel() and expected.is_floating_point() else 0.0
            tolerance = 1e4 * torch.finfo(expected.dtype).eps if expected.is_floating_point() else 0.0
            if expected.is_floating_point() and float((found - expected).abs().max()) > tolerance * max(size, 1e-30):
                raise CaptureError(
                    f"what was captured of {type(captured.model).__name__} gives other outputs than the module: its "
                    "forward does something that depends on more than its inputs and parameters"
                )


def _tensors(outputs: Any) -> list[Tensor]:
    return [leaf for leaf in torch.utils._pytree.tree_leaves(outputs) if isinstance(leaf, Tensor)]


def spaces(captured: CapturedModule) -> tuple[Space, ...]:
    """Every channel space of a captured module: size, members, and whether it can grow or why not."""
    return captured.spaces
