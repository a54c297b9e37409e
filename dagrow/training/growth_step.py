"""One growth step: look at samples, measure candidates, make the best one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch

from dagrow.build.network import derived_seed
from dagrow.data import Batches
from dagrow.planner import Candidate, Plan, apply, propose
from dagrow.training.journal import candidate_entry, plan_entry
from dagrow.training.sampling import batch_that_fits, samples_needed
from dagrow.training.state import RunState, Task


@dataclass(frozen=True)
class StepOutcome:
    """What a growth step did.

    Attributes:
        plan: all candidates.
        inserted: the one that was made; None if none gained.
        entries: what the journal says of it.
    """

    plan: Plan
    inserted: Candidate | None
    entries: dict[str, Any]


def growth_step(task: Task, state: RunState, number: int) -> StepOutcome:
    """Changes network and optimizer as the run file says.

    Args:
        task: the run.
        state: whose network grows.
        number: of the step, from 1.
    """
    growth = task.spec.growth
    data = _look(task, state)
    plan = _propose(task, state, data, number)
    entries: dict[str, Any] = {"step": number, "plan": plan_entry(plan)}
    if plan.best is None:
        return StepOutcome(plan, None, {**entries, "inserted": None, "reason": "nothing gains"})
    _make(state, plan.best, growth.insert)
    if task.spec.training.best_updates:
        entries["updates"] = _update(task, state, data)
    if growth.removal is not None:
        entries["removed"] = _remove(task, state, data, growth.removal)
    return StepOutcome(plan, plan.best, {**entries, "inserted": candidate_entry(plan.best)})


def _look(task: Task, state: RunState) -> Batches:
    """The samples of this growth step: drawn anew each time, all of them if that many are needed."""
    state.network.eval()
    train, dag = task.split.train, state.network.dag
    wanted = task.spec.growth.samples
    needed = samples_needed(dag, everywhere=task.spec.growth.candidates != ("widen",))
    count = min(len(train), needed if wanted == "auto" else wanted)
    if count < len(train):
        index = torch.randperm(len(train), generator=state.looks)[:count].sort().values
        train = train.rows(index.to(train.inputs[0].device))
    return train.part(task.processes).batches(batch_that_fits(dag))


def _propose(task: Task, state: RunState, data: Batches, number: int) -> Plan:
    growth = task.spec.growth
    return propose(
        state.network,
        task.objective,
        data,
        method=growth.method,
        candidates=growth.candidates,
        nodes=growth.nodes,
        neurons=growth.neurons,
        where=growth.where,
        shrinkage=growth.shrinkage,
        held_out=growth.held_out,
        significance=growth.significance,
        fan_out=growth.fan_out,
        new_node=growth.new_node,
        keep=growth.keep,
        max_parameters=growth.budget.parameters,
        max_multiply_adds=growth.budget.multiply_adds,
        turn=number - 1,
        seed=derived_seed(task.spec.seed, f"method {number}"),
        processes=task.processes,
    )


def _update(task: Task, state: RunState, data: Batches) -> list[dict[str, Any]]:
    """The best update of every layer in turn, each measured before it is made (thesis Algorithm 9)."""
    growth, network, made = task.spec.growth, state.network, []
    for node in network.dag.order:
        if not any(network.dag.op(edge).parametrised for edge in network.dag.incoming[node]):
            continue
        plan = propose(
            network,
            task.objective,
            data,
            candidates=("update",),
            nodes=(node,),
            shrinkage=growth.shrinkage,
            held_out=growth.held_out,
            processes=task.processes,
        )
        if plan.best is not None:
            _make(state, plan.best)
            made.append(candidate_entry(plan.best))
    return made


def _remove(task: Task, state: RunState, data: Batches, limit: float) -> dict[str, Any] | None:
    """Takes away the edge or node that the loss misses least, if it misses it that little."""
    plan = propose(
        state.network,
        task.objective,
        data,
        candidates=("remove",),
        shrinkage=0.0,
        held_out=task.spec.growth.held_out,
        removal=limit,
        processes=task.processes,
    )
    if plan.best is None:
        return None
    _make(state, plan.best)
    return candidate_entry(plan.best)


def _make(state: RunState, candidate: Candidate, insert: Literal["amplitude", "silent"] = "amplitude") -> None:
    apply(state.network, candidate, state.optimizer, insert=insert, averages=state.average.models)
