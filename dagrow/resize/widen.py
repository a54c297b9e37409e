"""Widens a space of a person's own module in place: tensors, sizes of layers, numbers in the code, optimizer.

What was computed is computed afterwards, on the examples, at two batch sizes, in both modes; else all is put back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from dagrow.capture import CapturedModule, Space, export
from dagrow.errors import CaptureError, GrowthError
from dagrow.mutation.groups import as_optimizers
from dagrow.mutation.operations import Operation, Transaction, assignment
from dagrow.resize.copies import Copies
from dagrow.resize.kept import Outputs, keeps, outputs_of, runnable_modes
from dagrow.resize.layers import is_known, sizes_of, tensors_of
from dagrow.resize.noted import attributes_of
from dagrow.resize.numbers import Setting, candidates, combinations
from dagrow.resize.start import Start
from dagrow.resize.tensors import Replacement, holding_steps, optimizer_steps, replacements


@dataclass(frozen=True)
class Widened:
    """What was done.

    Attributes:
        start: how the spaces grew, with the graph as it was.
        tensors: the tensors that changed.
        settings: attributes of the person's own code that were found by trial, as ``path.name``.
        steps: that were made, to be taken back by `undo`.
    """

    start: Start
    tensors: tuple[Replacement, ...]
    settings: tuple[str, ...]
    steps: tuple[Operation, ...] = field(repr=False)

    @property
    def spaces(self) -> tuple[str, ...]:
        """Names of the spaces that grew: more than one where the code has one size for several."""
        return tuple(space.name for space in self.start.spaces)

    def undo(self) -> None:
        """Puts everything back, as long as nothing else has changed it."""
        for step in reversed(self.steps):
            step.undo()


def rounded_count(space: Space, count: int, multiple_of: int) -> int:
    """How many channels to add so that the size is a multiple, at least ``count``."""
    return count + -(space.size + count) % multiple_of


def widen(
    captured: CapturedModule,
    space: Space | str,
    count: int,
    optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer] | None = None,
    *,
    averages: Sequence[AveragedModel] = (),
    multiple_of: int = 1,
    copies: bool = False,
    seed: int = 0,
) -> Widened:
    """Adds channels to a space of the module itself. The function is kept, and each new weight can be trained.

    Args:
        captured: the module.
        space: which of `captured.spaces`, or its name.
        count: new channels, at least; of heads or groups, new heads or groups.
        optimizer: whose parameter groups and state go along; a list where several share the module.
        averages: of the module's weights, which go along.
        multiple_of: the new size is a multiple of this.
        copies: new channels are copies of old ones that share their outgoing weights (Net2Net); else these are 0.
        seed: of new weights that are drawn.

    Raises:
        GrowthError: if the space cannot grow, or the module did not compute the same afterwards: then it is as before.
        OptimizerError: if the optimizer's state cannot be carried; then nothing has changed.
    """
    space = captured.space(space if isinstance(space, str) else space.name)
    if not space.grows:
        raise GrowthError(f"'{space.name}' cannot grow: {space.reason}")
    if not all(isinstance(n, int) and n >= 1 for n in (count, multiple_of)):
        raise GrowthError(f"count and multiple_of are whole numbers from 1 on, not {count!r} and {multiple_of!r}")
    optimizers = as_optimizers(optimizer)
    count = rounded_count(space, count, multiple_of)
    examples = captured.examples()
    modes = runnable_modes(captured.model, examples)
    expected = outputs_of(captured.model, examples, modes)
    problem = ""
    copied = Copies(captured.analysis, (space,), count, seed)
    if copies and (space.kind != "plain" or copied.has_products):
        raise GrowthError(f"the channels of '{space.name}' cannot be copied: a norm or a product is over all of them")
    for start, by_trial in ((copied, True),) if copies else _starts(captured, space, count, seed):
        _check_trained(captured.model, start)
        attempt = _Attempt(captured, start, examples, modes, expected)
        widened = attempt.make(by_trial)
        if widened is not None:
            try:
                return _finished(captured, widened, optimizers, averages)
            except BaseException:
                widened.undo()
                raise
        problem = attempt.problem
    raise GrowthError(f"'{space.name}' cannot grow, and the module is as before: {problem}")


def _starts(captured: CapturedModule, space: Space, count: int, seed: int) -> Iterator[tuple[Start, bool]]:
    """Ways to begin, the plainest first: alone, with attention's scale made up for, with spaces of the same size.

    Each with whether attributes may be set. At first they may not: where there are as many heads as a head has entries,
    a number of heads would be taken for the size that grows.
    """
    alone = Start(captured.analysis, (space,), count, seed)
    for start in _variants(alone) if alone.has_products else ():
        yield start, False
    for mates in ((), *((mate,) for mate in _mates(captured, space))):
        for start in _variants(replace(alone, spaces=(space, *mates))):
            yield start, True


def _variants(start: Start) -> Iterator[Start]:
    yield start
    if start.has_products:
        yield replace(start, rescaled=True)


def _mates(captured: CapturedModule, space: Space) -> list[Space]:
    """Spaces of the same size, in the same part of the module, that one attribute may stand for."""
    owners = {member.name.rpartition(".")[0].rpartition(".")[0] for member in space.members}
    found = []
    for other in captured.growable:
        near = {member.name.rpartition(".")[0].rpartition(".")[0] for member in other.members}
        if other is not space and other.size == space.size and (other.label or space.label) and owners & near:
            found.append(other)
    return found


def _check_trained(model: nn.Module, start: Start) -> None:
    """Refuses spaces with frozen parameters: new channels could be silent for ever."""
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad and name in start.analysis.tensors and start.touches(name):
            raise GrowthError(f"'{start.spaces[0].name}' cannot grow: {name} is frozen; let it require a gradient")


class _Attempt:
    """One way to grow, tried on the module itself and taken back where it does not keep the function."""

    def __init__(
        self,
        captured: CapturedModule,
        start: Start,
        examples: Sequence[Any],
        modes: Sequence[bool],
        expected: Outputs,
    ) -> None:
        self.captured, self.model, self.start = captured, captured.model, start
        self.examples, self.modes, self.expected = examples, modes, expected
        self.problem = ""

    def make(self, by_trial: bool) -> Widened | None:
        """Grows the module; None, and the module as before, if that does not work. `problem` says why.

        Args:
            by_trial: whether attributes of the person's own code may be set.
        """
        found = replacements(self.model, self.start)
        steps = [*holding_steps(self.model, found), *layer_steps(self.model, self.start, found)]
        transaction = Transaction()
        transaction.add(*steps)
        transaction.commit()
        try:
            settings = self._fitting(found, by_trial)
        except BaseException:
            _undo(steps)
            raise
        if settings is None:
            _undo(steps)
            return None
        names = tuple(f"{s.path}.{s.name}".lstrip(".") for s, _ in settings)
        more = [assignment_made(s.module, s.name, s.value, old) for s, old in settings]
        return Widened(self.start, tuple(found), names, (*steps, *more))

    def _fitting(self, found: Sequence[Replacement], by_trial: bool) -> list[tuple[Setting, Any]] | None:
        """The attributes that had to be set, with their old values; they are set. None if none do."""
        paths = [each.name.rpartition(".")[0] for each in found]
        options = candidates(self.model, self.start.analysis, self.start.growth, paths)
        spaces = tuple(space.name for space in self.start.spaces)
        known = self.captured.fitting.get(spaces)
        for chosen in combinations(options if by_trial else {}):
            names = tuple((setting.path, setting.name) for setting in chosen)
            before = [(setting, getattr(setting.module, setting.name)) for setting in chosen]
            for setting in chosen:
                setattr(setting.module, setting.name, setting.value)
            kept = False
            try:
                # Code may read a size only where it is captured: heads that the kernel shares by itself, when it runs.
                kept = self._keeps() and (not options or names == known or self._can_be_captured())
            finally:
                if not kept:
                    for setting, old in before:
                        setattr(setting.module, setting.name, old)
            if kept:
                self.captured.fitting[spaces] = names
                return before
        return None

    def _can_be_captured(self) -> bool:
        try:
            export(self.model, self.captured.example_inputs)
        except CaptureError as error:
            self.problem = self.problem or str(error)
            return False
        return True

    def _keeps(self) -> bool:
        """Whether the module computes what it did; a short look first."""
        try:
            if not keeps(self.model, self.examples[:1], self.modes[:1], self.expected[:1]):
                self.problem = "it would not compute the same afterwards"
                return False
            whole = keeps(self.model, self.examples, self.modes, self.expected)
        except Exception as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            self.problem = self.problem or f"its code does not run at the new size ({first})"
            return False
        if not whole:
            self.problem = "it would not compute the same afterwards, in train mode or at another batch size"
        return whole


def layer_steps(model: nn.Module, start: Start, found: Sequence[Replacement]) -> list[Operation]:
    """Steps that set the sizes of torch's layers, and ``eps`` of norms over grown channels."""
    shapes = {id(each.old): tuple(each.new.shape) for each in found}
    steps = []
    for path, module in model.named_modules():
        own = tensors_of(module)
        if is_known(module) and any(id(tensor) in shapes for tensor in own.values()):
            sizes = {name: shapes.get(id(tensor), tuple(tensor.shape)) for name, tensor in own.items() if tensor.dim()}
            for name, value in sizes_of(module, path, sizes, start.analysis, start.growth).items():
                steps.append(assignment(module, name, value))
    for module, name, value in _new_eps(model, start):
        steps.append(assignment(module, name, value))
    return steps


def _new_eps(model: nn.Module, start: Start) -> list[tuple[nn.Module, str, float]]:
    found: dict[tuple[int, str], tuple[nn.Module, str, float]] = {}
    for space in start.spaces:
        share = space.size / (space.size + start.count)
        for norm in space.normalisations:
            module = model.get_submodule(norm.owner)
            weight = next(iter(module.parameters(recurse=False)), None)
            for name, value in vars(module).items():
                if isinstance(value, float) and value == norm.eps:
                    found[id(module), name] = (module, name, value * share)
            if norm.eps is None and getattr(module, "eps", 0.0) is None and weight is not None:
                found[id(module), "eps"] = (module, "eps", torch.finfo(weight.dtype).eps * share)
    return list(found.values())


def assignment_made(owner: nn.Module, name: str, value: Any, before: Any) -> Operation:
    """An assignment that was made already, so that it can be taken back."""
    return Operation(lambda: setattr(owner, name, value), lambda: setattr(owner, name, before))


def _undo(steps: Sequence[Operation]) -> None:
    for step in reversed(steps):
        step.undo()


def _finished(
    captured: CapturedModule,
    widened: Widened,
    optimizers: Sequence[torch.optim.Optimizer],
    averages: Sequence[AveragedModel],
) -> Widened:
    """Takes optimizers and averages along, and notes what was set."""
    transaction = Transaction()
    transaction.add(*optimizer_steps(optimizers, widened.tensors))
    by_name = {each.name: each for each in widened.tensors}
    attributes = attributes_of(captured, widened.start, widened.tensors, widened.settings)
    for average in averages:
        found = replacements(average.module, widened.start, by_name)
        if {each.name: each.old.shape for each in found} != {n: each.old.shape for n, each in by_name.items()}:
            raise GrowthError("an average is that of another module: make it by AveragedModel(model)")
        transaction.add(*holding_steps(average.module, found))
        for path, own in attributes.items():
            module = average.module.get_submodule(path)
            transaction.add(*(assignment(module, name, value) for name, value in own.items()))
    transaction.commit()
    before = {path: dict(own) for path, own in captured.attributes.items()}
    for path, own in attributes.items():
        captured.attributes.setdefault(path, {}).update(own)
    captured.outdated = True

    def forget() -> None:
        captured.attributes = before
        captured.outdated = True

    noted = Operation(lambda: None, forget)
    return replace(widened, steps=(*widened.steps, *transaction.steps, noted))
