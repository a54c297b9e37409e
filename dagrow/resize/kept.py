"""Whether a module computes what it computed: on the examples, at two batch sizes, in eval and in train mode."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from dagrow.capture import as_call
from dagrow.errors import GrowthError
from dagrow.randomness import seed_torch, torch_random_numbers_kept

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-5}
"""Relative to the largest output; of coarser formats 64 times their resolution."""

ROUNDING = 8.0
"""Where a module's own rounding is above that, times its distance from the same module in float64. Before and after
growth it rounds alike, so twice is to be expected; a function that is not kept is off by more, and rounds no more."""

Outputs = list[list[Tensor]]


class without_dropout(TorchFunctionMode):
    """Dropout drops nothing: with other widths it would draw other numbers."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if "dropout" in name and args and isinstance(args[0], Tensor):
            return args[0]
        if name == "scaled_dot_product_attention":
            kwargs["dropout_p"] = 0.0
            args = args[:4]
        return func(*args, **kwargs)


@contextmanager
def modes_and_buffers_kept(model: nn.Module) -> Iterator[None]:
    """Whatever runs inside, modes, buffers and torch's random numbers are afterwards as before."""
    modes = [(module, module.training) for module in model.modules()]
    saved = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        with torch_random_numbers_kept():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        with torch.no_grad():
            for buffer, value in saved:
                buffer.copy_(value)


@torch.no_grad()
def outputs_of(model: nn.Module, examples: Sequence[Any], modes: Sequence[bool] = (False, True)) -> Outputs:
    """The tensors that a module returns, per mode and example. Nothing of it is changed.

    Args:
        model: any.
        examples: inputs.
        modes: train mode or not.
    """
    found = []
    for training in modes:
        for inputs in examples:
            with modes_and_buffers_kept(model), without_dropout():
                model.train(training)
                seed_torch(0)
                args, kwargs = as_call(inputs)
                found.append([x for x in pytree.tree_leaves(model(*args, **kwargs)) if isinstance(x, Tensor)])
    return found


def keeps(model: nn.Module, examples: Sequence[Any], modes: Sequence[bool], expected: Outputs) -> bool:
    """Whether a module gives these outputs, but for rounding.

    Args:
        model: any.
        examples: inputs.
        modes: train mode or not.
        expected: per mode and example.
    """
    found = outputs_of(model, examples, modes)
    off = difference(found, expected)
    coarse = {x.dtype for one in expected for x in one if x.is_floating_point()} - {torch.float64}
    return off <= 1 or (bool(coarse) and math.isfinite(off) and _is_rounding(model, examples, modes, found, expected))


def _is_rounding(
    model: nn.Module, examples: Sequence[Any], modes: Sequence[bool], found: Outputs, expected: Outputs
) -> bool:
    """Whether outputs differ by no more than a module's rounding, as float64 shows it."""

    def exact(leaf: Any) -> Any:
        return leaf.double() if isinstance(leaf, Tensor) and leaf.is_floating_point() else leaf

    try:
        wide = outputs_of(copy.deepcopy(model).double(), pytree.tree_map(exact, list(examples)), modes)
    except Exception:  # its code may ask for one format
        return False
    for one, other, fine in zip(found, expected, wide, strict=True):
        for a, b, c in zip(one, other, fine, strict=True):
            if a.shape != c.shape:
                return False
            if a.numel():
                off, rounding = (float((a.double() - each.double()).abs().max()) for each in (b, c))
                if off > ROUNDING * rounding:
                    return False
    return True


def runnable_modes(model: nn.Module, examples: Sequence[Any]) -> tuple[bool, ...]:
    """Eval and train mode, the first one first; one in which the module does not run as it is is left out.

    Raises:
        GrowthError: if it runs in neither.
    """
    found, problem = [], ""
    for training in (False, True):
        try:
            outputs_of(model, examples, (training,))
            found.append(training)
        except Exception as error:
            problem = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if not found:
        raise GrowthError(f"{type(model).__name__} does not run on its example inputs: {problem}")
    return tuple(found)


def difference(found: Outputs, expected: Outputs) -> float:
    """The largest difference, as a multiple of what is allowed; infinite where shapes or numbers are not the same."""
    worst = 0.0
    for one, other in zip(found, expected, strict=True):
        if [x.shape for x in one] != [x.shape for x in other]:
            return float("inf")
        for a, b in zip(one, other, strict=True):
            if not a.numel():
                continue
            if not b.is_floating_point():
                worst = max(worst, 0.0 if torch.equal(a, b) else float("inf"))
                continue
            allowed = TOLERANCE.get(b.dtype, 64 * torch.finfo(b.dtype).eps) * float(b.abs().max())
            off = float((a - b).abs().max())
            worst = max(worst, off / allowed if allowed > 0 else float("inf") if off > 0 else 0.0)
            if off != off:
                return float("inf")
    return worst
