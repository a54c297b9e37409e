"""One growth step: look at samples, measure candidates, make the best one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from dagrow.build.network import derived_seed
from dagrow.data import Batches
from dagrow.errors import NumbersError
from dagrow.planner import Candidate, Plan, apply, propose
from dagrow.training.journal import candidate_entry, plan_entry
from dagrow.training.sampling import batch_that_fits, samples_needed
from dagrow.training.state import RunState, Task


@dataclass(frozen=True)
class StepOutcome:
    """What a growth step did.

    Attributes:
        plan: all candidates; None if there were no numbers to make them of.
        made: the one that was made; None if none was.
        entries: what the journal says of it.
        data: the samples that it looked at.
    """

    plan: Plan | None
    made: Candidate | None
    entries: dict[str, Any]
    data: Batches


def growth_step(task: Task, state: RunState, number: int) -> StepOutcome:
    """Changes network and optimizer as the run file says.

    Args:
        task: the run.
        state: whose network grows.
        number: of the step, from 1.
    """
    growth = task.spec.growth
    data = _look(task, state)
    try:
        plan = _propose(task, state, data, number)
    except NumbersError as error:
        return StepOutcome(None, None, {"step": number, "plan": None, "inserted": None, "reason": str(error)}, data)
    entries: dict[str, Any] = {"step": number, "plan": plan_entry(plan)}
    if plan.best is None:
        return StepOutcome(plan, None, {**entries, "inserted": None, "reason": "nothing gains"}, data)
    apply(state.network, plan.best, state.optimizer, insert=growth.insert)
    if task.spec.training.best_updates:
        entries["updates"] = _update(task, state, data)
    return StepOutcome(plan, plan.best, {**entries, "inserted": candidate_entry(plan.best)}, data)


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
    return train.batches(batch_that_fits(dag))


def _propose(task: Task, state: RunState, data: Batches, number: int) -> Plan:
    growth = task.spec.growth
    return propose(
        state.network,
        task.objective,
        data,
        method=growth.method,
        completion=growth.completion,
        noise=growth.noise,
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
        )
        if plan.best is not None:
            apply(network, plan.best, state.optimizer)
            made.append(candidate_entry(plan.best))
    return made


def removal_step(task: Task, state: RunState, number: int, data: Batches) -> StepOutcome | None:
    """Takes away the edge or node that the loss misses least, if it misses it as little as the run file says.

    Args:
        task: the run.
        state: whose network has just grown.
        number: of the growth step.
        data: that the growth step looked at.

    Returns:
        What was done; None if the run file wants nothing taken away.
    """
    growth = task.spec.growth
    if growth.removal is None:
        return None
    plan = propose(
        state.network,
        task.objective,
        data,
        candidates=("remove",),
        shrinkage=0.0,
        held_out=growth.held_out,
        removal=growth.removal,
    )
    removed = None
    if plan.best is not None:
        apply(state.network, plan.best, state.optimizer)
        removed = candidate_entry(plan.best)
    return StepOutcome(plan, plan.best, {"step": number, "plan": plan_entry(plan), "removed": removed}, data)
