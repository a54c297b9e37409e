"""One growth step: look at samples, measure candidates, make the best one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from dagrow.build.network import derived_seed
from dagrow.data import Batches
from dagrow.errors import NumbersError
from dagrow.graph import Dag, cost
from dagrow.growth.counterfactual import choose_by_training
from dagrow.growth.insertion_mode import insert
from dagrow.journal.writer import candidate_entry, plan_entry
from dagrow.mutation import widened_spec
from dagrow.planner import KINDS, Candidate, Plan, apply, find_locations, propose
from dagrow.spec import GrowthSpec, ProposalOptions, RunSpec
from dagrow.training.sample_sizes import batch_that_fits, samples_needed
from dagrow.training.schedules import SCOPES, schedule_of
from dagrow.training.state import RunContext, RunState


@dataclass(frozen=True)
class StepOutcome:
    """What a growth step did.

    Attributes:
        plan: all candidates; None if there were no numbers to make them of.
        made: the one that was made; None if none was.
        entries: what the journal says of it.
        data: the samples that it looked at.
        places: that take turns, of which this step was about one; 1 where it was about all of them.
    """

    plan: Plan | None
    made: Candidate | None
    entries: dict[str, Any]
    data: Batches
    places: int = 1

    @property
    def gained(self) -> bool:
        """Whether something was inserted, or would have gained beside the update that was taken."""
        if self.made is None or self.plan is None:
            return False
        return KINDS[self.made.kind].grows or any(
            KINDS[candidate.kind].grows and not candidate.rejected for candidate in self.plan.candidates
        )


def growth_step(task: RunContext, state: RunState, number: int) -> StepOutcome:
    """Changes network and optimizer as the run file says.

    Args:
        task: the run.
        state: whose network grows.
        number: of the step, from 1.
    """
    growth = task.spec.growth
    data = _look(task, state)
    subject, places = _subject(task.spec, state)
    try:
        plan = _propose(task, state, data, number, subject)
    except NumbersError as error:
        nothing = {"step": number, "plan": None, "inserted": None, "reason": str(error)}
        return StepOutcome(None, None, nothing, data, places)
    if plan.best is None and schedule_of(task.spec).by_width and (kind := _left_to_training(subject, places)):
        # Nothing gains at once: that says little of what training will make of more neurons.
        subject = replace(subject, candidates=(kind,), method="random_zero_fan_out")
        plan = _propose(task, state, data, number, subject)
    entries: dict[str, Any] = {"step": number, "plan": plan_entry(plan)}
    best, reason = plan.best, "nothing gains"
    if best is not None and growth.trial_training is not None:
        ready = [candidate for candidate in plan.candidates if not candidate.rejected]
        best, entries["tryout"] = choose_by_training(task, state, ready, number)
        reason = "nothing that was tried out has gained"
    if best is None:
        return StepOutcome(plan, None, {**entries, "inserted": None, "reason": reason}, data, places)
    entries["insert"] = insert(task, state.network, best, state.optimizer, state.average.models)
    if task.spec.training.closed_form_updates:
        entries["updates"] = _update(task, state, data)
    return StepOutcome(plan, best, {**entries, "inserted": candidate_entry(best)}, data, places)


@dataclass(frozen=True)
class Subject:
    """What a growth step is about: which kinds of insertion, at which nodes, of how many neurons at most, how made."""

    candidates: tuple[str, ...]
    nodes: tuple[str, ...] | None
    neurons: int
    method: str


def _left_to_training(subject: Subject, places: int) -> str | None:
    """The kind of insertion that is made though nothing gains: a wider node, or the first one to widen."""
    if subject.candidates == ("widen",):
        return "widen"
    return "node" if places == 1 and "node" in subject.candidates else None


def _subject(run: RunSpec, state: RunState) -> tuple[Subject, int]:
    """Of this growth step, and how many places take turns."""
    growth, dag = run.growth, state.network.dag
    if not schedule_of(run).by_width:
        turns = _turns(growth, dag) if SCOPES[growth.scope].in_turn else []
        nodes = (turns[state.progress.step % len(turns)],) if turns else growth.nodes
        return Subject(growth.candidates, nodes, growth.neurons, growth.method), max(1, len(turns))
    anew = tuple(kind for kind in growth.candidates if kind != "widen")
    wider = _turns(growth.model_copy(update={"candidates": ("widen",)}), dag) if "widen" in growth.candidates else []
    turn = state.progress.turn - bool(anew)
    places = max(1, len(wider) + bool(anew))
    if turn < 0 or turn >= len(wider):
        return Subject(anew or growth.candidates, growth.nodes, growth.neurons, growth.method), places
    node = wider[turn]
    neurons = max(growth.neurons, round(growth.share * dag.size(node)))
    return Subject(("widen",), (node,), neurons, growth.method), places


def budget_spent(run: RunSpec, dag: Dag) -> bool:
    """Whether a run that only widens nodes has no room left for one more feature at any of them."""
    growth, budget = run.growth, run.growth.budget
    if growth.candidates != ("widen",):
        return False
    wider = [cost(Dag.of(widened_spec(dag, node, 1))) for node in _turns(growth, dag)]
    return all(
        one.parameters > budget.parameters or (budget.macs is not None and one.multiply_adds > budget.macs)
        for one in wider
    )


def _turns(growth: GrowthSpec, dag: Dag) -> list[str]:
    """The nodes that take turns: where something of the candidates' kinds can be done, in the order of the graph."""
    entries, _ = find_locations(dag, growth.candidates, growth.nodes, growth.new_node)
    return [name for name in dag.order if any(entry.place.concerns((name,)) for entry in entries)]


def _look(task: RunContext, state: RunState) -> Batches:
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


def _propose(task: RunContext, state: RunState, data: Batches, number: int, subject: Subject) -> Plan:
    options = ProposalOptions.of_run(
        task.spec.growth,
        method=subject.method,
        candidates=subject.candidates,
        nodes=subject.nodes,
        neurons=subject.neurons,
        pad=schedule_of(task.spec).by_width,
        turn=number - 1,
        seed=derived_seed(task.spec.seed, f"method {number}"),
    )
    return propose(state.network, task.objective, data, options=options, processes=task.processes)


def _update(task: RunContext, state: RunState, data: Batches) -> list[dict[str, Any]]:
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
            update_amplitude=growth.update_amplitude,
            processes=task.processes,
        )
        if plan.best is not None:
            _make(state, plan.best)
            made.append(candidate_entry(plan.best))
    return made


def removal_step(task: RunContext, state: RunState, number: int, data: Batches) -> StepOutcome | None:
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
    if growth.prune_tolerance is None:
        return None
    plan = propose(
        state.network,
        task.objective,
        data,
        candidates=("remove",),
        shrinkage=0.0,
        held_out=growth.held_out,
        prune_tolerance=growth.prune_tolerance,
        processes=task.processes,
    )
    removed = None
    if plan.best is not None:
        _make(state, plan.best)
        removed = candidate_entry(plan.best)
    return StepOutcome(plan, plan.best, {"step": number, "plan": plan_entry(plan), "removed": removed}, data)


def _make(state: RunState, candidate: Candidate) -> None:
    apply(state.network, candidate, state.optimizer, averages=state.average.models)
