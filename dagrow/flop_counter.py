"""Multiply-adds as they are spent: whoever works tells, whoever asked is told.

Counted are products of matrices and convolutions where they grow with the number of samples: forward and backward
passes, statistics, amplitudes that are tried, searches of non-linear neurons, bounds of places. Not counted are what
goes value by value, as activations do, and factorisations of moments, which see no sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from torch import Tensor


@dataclass
class MacCounter:
    """What was spent so far."""

    multiply_adds: int = 0


_asked: ContextVar[tuple[MacCounter, ...]] = ContextVar("asked", default=())


@contextmanager
def counted() -> Iterator[MacCounter]:
    """Counts what is spent inside, in this thread; may be nested."""
    work = MacCounter()
    token = _asked.set((*_asked.get(), work))
    try:
        yield work
    finally:
        _asked.reset(token)


def spend(multiply_adds: float) -> None:
    """Tells that so much work was done."""
    for work in _asked.get():
        work.multiply_adds += int(multiply_adds)


def product(left: Tensor, right: Tensor) -> Tensor:
    """``left @ right``, counted; batches of matrices as they are, not broadcast."""
    spend(left.numel() * right.shape[-1])
    return left @ right


def layer_output(made: Tensor, weight: Tensor) -> Tensor:
    """What a layer made, counted: each value is a sum over the rest of one row of the weight."""
    spend(made.numel() * weight[:1].numel())
    return made
