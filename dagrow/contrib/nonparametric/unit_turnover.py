"""What happens to units between two gradient steps: shrinkage, removal, addition (lines 17 to 25 of Algorithm 1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from dagrow.build import Network
from dagrow.build.network import derived_seed
from dagrow.build.units import SIDES, UnitWeights
from dagrow.contrib.nonparametric.add_units import add_units
from dagrow.contrib.nonparametric.graph_checks import growing_nodes
from dagrow.contrib.nonparametric.remove_units import remove_units
from dagrow.contrib.nonparametric.shrinkage import group_factor, soft_threshold
from dagrow.graph import Dag, cost
from dagrow.mutation import widened_spec
from dagrow.spec import BudgetSpec, GraphSpec, PenaltySpec, RunSpec
from dagrow.training.state import RunState


class UnitTurnover:
    """Units that come and go in one epoch of a run.

    Args:
        run: its penalty, its rate of new units, its budget.
        network: changed in place.
        optimizer: goes along; its first group tells the step size.
        averages: of the network's weights, go along.
        epoch: passes that are done already.
        batches: in one pass.
        adding: whether units are added, as far as the run file says so.
        shrinking: whether the penalty counts.
    """

    def __init__(
        self,
        run: RunSpec,
        network: Network,
        optimizer: torch.optim.Optimizer,
        averages: Sequence[AveragedModel] = (),
        *,
        epoch: int,
        batches: int,
        adding: bool = True,
        shrinking: bool = True,
    ) -> None:
        self.run, self.network, self.optimizer, self.averages = run, network, optimizer, averages
        self.penalty = run.training.penalty if shrinking else None
        units = run.growth.continuous_growth
        over = units is None or (units.until is not None and epoch >= units.until)
        self.units = units if adding and not over else None
        self.step, self.batches = epoch * batches, batches
        # Of this epoch alone: a run that is continued draws as the one that was not stopped.
        self.draw = torch.Generator().manual_seed(derived_seed(run.seed, f"units {epoch}"))
        # Found anew whenever units have come or gone: looking for it takes longer than shrinking.
        self._spec: GraphSpec | None = None
        self._shrunk = _Shrunk((), (), {}, 2)
        self.added: Counter[str] = Counter()
        self.removed: Counter[str] = Counter()

    @classmethod
    def of(cls, run: RunSpec, state: RunState, steps: int) -> UnitTurnover:
        """For a unit of training of so many gradient steps, as a run that rewinds has it in its phase."""
        rewind = state.rewind
        return cls(
            run,
            state.network,
            state.optimizer,
            state.average.models,
            epoch=state.progress.epoch,
            batches=steps,
            adding=rewind is None or rewind.adding,
            shrinking=rewind is None or rewind.shrinking,
        )

    def after_batch(self) -> None:
        """To be called after each gradient step."""
        self.step += 1
        if self.penalty is not None:
            if self.network.spec is not self._spec:
                self._spec, self._shrunk = self.network.spec, _Shrunk.of(self.network, self.penalty)
            if self._shrunk.by(radial_step(self.optimizer)):
                self.removed.update(remove_zero_units(self.network, self.penalty.side, self.optimizer, self.averages))
        if self.units is not None and self.step % max(1, round(self.units.every * self.batches)) == 0:
            for node in reversed(growing_nodes(self.network.dag, self.run.growth.nodes)):
                self._add(node, self.units.rate)

    def entries(self) -> dict[str, Any]:
        """What the journal says of the epoch; nothing where units neither come nor go."""
        if self.run.training.penalty is None and self.run.growth.continuous_growth is None:
            return {}
        dag = self.network.dag
        sizes = {name: dag.size(name) for name in growing_nodes(dag, None)}
        return {"units": sizes, "added": dict(self.added), "removed": dict(self.removed)}

    def removed_count(self) -> int:
        """How many units are gone so far."""
        return sum(self.removed.values())

    def _add(self, node: str, rate: float) -> None:
        count = int(rate)
        if count != rate:
            count = int(torch.poisson(torch.tensor(rate), generator=self.draw))
        if (limit := self.run.growth.max_width) is not None:
            count = max(0, min(count, limit - self.network.dag.size(node)))
        count = _affordable(self.network.dag, node, count, self.run.growth.budget)
        if count:
            add_units(self.network, node, count, self.draw, self.optimizer, self.averages)
            self.added[node] += count


def radial_step(optimizer: torch.optim.Optimizer) -> float:
    """The step size by which the lengths of fan-ins change: ``radial_lr`` where an optimizer has one, else ``lr``."""
    group = optimizer.param_groups[0]
    return float(group.get("radial_lr", group["lr"]))


def shrink(network: Network, penalty: PenaltySpec, step: float) -> None:
    """The proximal step of a penalty ``sum over units of strength * ||weights of one side||_p``, in place."""
    _Shrunk.of(network, penalty).by(step)


@dataclass(frozen=True)
class _Shrunk:
    """What a penalty is on, of a network as it is now.

    Attributes:
        sides: of the units.
        strengths: lambda of each of them.
        state: their weights.
        p: of the norm.
    """

    sides: tuple[UnitWeights, ...]
    strengths: tuple[float, ...]
    state: dict[str, Tensor]
    p: int

    @classmethod
    def of(cls, network: Network, penalty: PenaltySpec) -> _Shrunk:
        sides = tuple(SIDES[penalty.side](network.dag))
        strengths = tuple(penalty.of(side.node) for side in sides)
        return cls(sides, strengths, network.state_dict(keep_vars=True), penalty.p)

    @torch.no_grad()
    def by(self, step: float) -> bool:
        """One step of that size; whether some unit may have nothing left."""
        if self.p == 1:
            for side, strength in zip(self.sides, self.strengths, strict=True):
                for block in side.blocks:
                    part = block.part(self.state[block.key], side.count)
                    part.copy_(soft_threshold(part, step * strength))
            return True
        least = []
        for side, strength in zip(self.sides, self.strengths, strict=True):
            factor = group_factor(side.squares(self.state), step * strength)
            least.append(factor.min())
            for block in side.blocks:
                part = block.part(self.state[block.key], side.count)
                part.mul_(block.spread(factor, part.dim()))
        return not least or float(torch.stack(least).min()) == 0


def remove_zero_units(
    network: Network,
    side: str,
    optimizer: torch.optim.Optimizer | None = None,
    averages: Sequence[AveragedModel] = (),
) -> dict[str, int]:
    """Removes the units whose weights of one side are all 0; of each node, one stays.

    Returns:
        How many, of the nodes that lost some.
    """
    removed = {}
    for name, gone in _zero_units(network, side).items():
        if bool(gone.all()):
            gone[0] = False
        if count := int(gone.sum()):
            remove_units(network, name, gone, optimizer, averages)
            removed[name] = count
    return removed


@torch.no_grad()
def _zero_units(network: Network, side: str) -> dict[str, Tensor]:
    dag, state = network.dag, network.state_dict(keep_vars=True)
    growing = set(growing_nodes(dag, None))
    return {group.node: _is_zero(state, group) for group in SIDES[side](dag) if group.node in growing}


def _is_zero(state: dict[str, Tensor], side: UnitWeights) -> Tensor:
    parts = [(block.rows(state[block.key], side.count) == 0).all(dim=1) for block in side.blocks]
    return torch.stack(parts).all(dim=0)


def _affordable(dag: Dag, node: str, count: int, budget: BudgetSpec) -> int:
    """As many of the units as the budget has room for."""
    while count:
        after = cost(Dag.of(widened_spec(dag, node, count)))
        fits = budget.macs is None or after.multiply_adds <= budget.macs
        if fits and after.parameters <= budget.parameters:
            break
        count -= 1
    return count
