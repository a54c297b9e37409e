"""The learning rate of new weights rises from 0 in so many gradient steps; old weights keep theirs.

What is scaled is the step that the optimizer makes, entry by entry, so it is exact for any optimizer: Adam's moments
are those of plain training. How many steps an entry has had stands in the optimizer's state, in a tensor of the
parameter's shape, and so goes along when the parameter grows: new entries begin at 0.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_AGE = "steps_since_growth"


class WarmUp:
    """Steps of an optimizer whose new weights are slow at first.

    Args:
        optimizer: makes the steps.
        steps: in which the learning rate of new weights rises, linearly; 0 for none.
        grown: whether there has been growth: what has had no step yet is new then.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, steps: int, grown: bool) -> None:
        self.optimizer, self.steps = optimizer, steps
        self.first = 0.0 if grown else float(steps)

    @torch.no_grad()
    def step(self) -> None:
        """One step."""
        parameters = self._trained() if self.steps else []
        cold = [(p, age, p.clone()) for p in parameters if float((age := self._age(p)).min()) < self.steps]
        self.optimizer.step()
        for parameter, age, before in cold:
            age += 1
            # Entries that are warm take the optimizer's own value, to the last bit.
            share = self.share(age)
            parameter.copy_(torch.where(share < 1, before + share * (parameter - before), parameter))
            self.optimizer.state[parameter][_AGE] = age
        for parameter in parameters:
            if _AGE not in self.optimizer.state[parameter]:
                self.optimizer.state[parameter][_AGE] = torch.full_like(parameter, float(self.steps))

    def share(self, age: Tensor) -> Tensor:
        """Of the optimizer's step, by the number of the step."""
        return (age / self.steps).clamp(max=1)

    def _trained(self) -> list[nn.Parameter]:
        return [p for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]

    def _age(self, parameter: nn.Parameter) -> Tensor:
        state = self.optimizer.state.get(parameter, {})
        return state[_AGE] if _AGE in state else torch.full_like(parameter, self.first)
