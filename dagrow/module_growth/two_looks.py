"""Looks at samples: the loss, values inside the module, and what their readers should do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from dagrow.capture import CapturedModule
from dagrow.module_growth.batches import Part
from dagrow.module_growth.flow import Flow
from dagrow.module_growth.linear_map import LinearMap
from dagrow.module_growth.score_flow import ScoreFlow

LossFunction = Callable[[Any, Any], Tensor]
Seen = tuple[float, dict[fx.Node, Any], dict[fx.Node, Tensor]]
KEPT_BYTES = 2**28
"""Of what a first look finds, so much is kept for the second one."""


def look_at(
    captured: CapturedModule,
    ways: Sequence[Flow | ScoreFlow],
    readers: Mapping[str, LinearMap],
    loss: LossFunction,
    part: Part,
) -> Seen:
    """The loss, values, and per reader, and where queries meet keys, ``v_goal`` of every sample."""
    wanted = {node for way in ways for node in way.wanted}
    program = captured.program
    with torch.enable_grad():
        leaves, values = program.run(part.inputs, wanted)
        found = loss(program.packed(leaves), part.target)
        nodes = [map_.node for map_ in readers.values()]
        nodes += [way.node for way in ways if isinstance(way, ScoreFlow)]
        asked = [values[node] for node in nodes]
        gradients = torch.autograd.grad(found, asked, allow_unused=True) if asked else ()
    goals = {}
    for node, gradient in zip(nodes, gradients, strict=True):
        value = values[node]
        goals[node] = torch.zeros_like(value) if gradient is None else gradient.mul(-part.count)
    plain = {node: value.detach() if isinstance(value, Tensor) else value for node, value in values.items()}
    return float(found.detach()), plain, goals


class TwoLooks:
    """Two looks at the same samples, of which the second is spared where there is room for what the first found."""

    def __init__(self, look: Callable[[Part], Seen]) -> None:
        self.look, self.room = look, KEPT_BYTES
        self.kept: dict[int, Seen] = {}

    def first(self, part: Part) -> Seen:
        """Looks, and keeps what there is room for."""
        found = self.look(part)
        tensors = [each for each in (*found[1].values(), *found[2].values()) if isinstance(each, Tensor)]
        size = sum(each.numel() * each.element_size() for each in tensors)
        if size <= self.room:
            self.room -= size
            self.kept[id(part)] = found
        return found

    def last(self, part: Part) -> Seen:
        """What was kept, which is kept no longer; else looks again."""
        return self.kept.pop(id(part)) if id(part) in self.kept else self.look(part)
