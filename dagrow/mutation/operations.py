"""Assignments that are made together or not at all: each knows how it is taken back."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any, NamedTuple

import torch
from torch import nn


class Operation(NamedTuple):
    """An assignment and how to take it back."""

    do: Callable[[], Any]
    undo: Callable[[], Any]


def assignment(owner: Any, name: str, value: Any) -> Operation:
    """``owner.name = value``."""
    before = getattr(owner, name, None)
    return Operation(lambda: setattr(owner, name, value), lambda: setattr(owner, name, before))


def entry(table: MutableMapping[Any, Any], key: Any, value: Any) -> Operation:
    """``table[key] = value``, of a key that is there."""
    before = table[key]
    return Operation(lambda: table.__setitem__(key, value), lambda: table.__setitem__(key, before))


def removal(table: MutableMapping[Any, Any], key: Any) -> Operation:
    """``del table[key]``, of a key that is there."""
    before = table[key]
    return Operation(lambda: table.pop(key), lambda: table.__setitem__(key, before))


class Transaction:
    """Steps to be made in order, or not at all."""

    def __init__(self) -> None:
        self.steps: list[Operation] = []

    def add(self, *steps: Operation) -> None:
        """Appends steps."""
        self.steps.extend(steps)

    def commit(self) -> None:
        """Makes all of them; where one fails, those made are taken back and the error goes on."""
        done: list[Operation] = []
        try:
            for step in self.steps:
                done.append(step)
                step.do()
        except BaseException:
            for step in reversed(done):
                step.undo()
            raise


def move_state(
    optimizer: torch.optim.Optimizer, old: nn.Parameter, new: nn.Parameter, state: dict[str, Any] | None
) -> Operation:
    """Hands an optimizer's state of a parameter on to the one in its place; None drops it."""
    previous = optimizer.state.get(old)

    def do() -> None:
        optimizer.state.pop(old, None)
        if state is not None:
            optimizer.state[new] = state

    def undo() -> None:
        optimizer.state.pop(new, None)
        if previous is not None:
            optimizer.state[old] = previous

    return Operation(do, undo)
