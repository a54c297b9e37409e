"""The loop: train, propose, insert, repeat (thesis Algorithms 9 and 11)."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from dagrow.build import Network, build
from dagrow.build.network import derived_seed
from dagrow.data import Batches, Samples, Split, load_data
from dagrow.export import export_network
from dagrow.graph import Dag, cost, load_run
from dagrow.methods import find_method
from dagrow.objectives import LOSSES
from dagrow.ops import position_count
from dagrow.planner import Plan, apply, check_needs, propose
from dagrow.report import Reporter, Silent
from dagrow.spec import RunSpec, plain_graph
from dagrow.training.device import find_device
from dagrow.training.directory import RunDirectory
from dagrow.training.epochs import (
    Objective,
    Score,
    TrainingError,
    advice,
    evaluate,
    make_optimizer,
    train_epoch,
)
from dagrow.training.explained import explain
from dagrow.training.journal import SCHEMA, Journal, candidate_entry, plan_entry
from dagrow.training.result import GrowthResult, inserted_text
from dagrow.training.sampling import batch_that_fits, samples_needed

_SCORING_BATCH = 1_024
_SHOWN = 5


def grow(
    run: RunSpec | str | Path,
    *,
    out: str | Path | None = None,
    write: bool = True,
    device: str = "cpu",
    reporter: Reporter | None = None,
) -> GrowthResult:
    """Trains and grows a network as a run file says.

    Args:
        run: the spec, or the path of a run file.
        out: the run directory, new or empty; ``runs/NAME`` or the next free name if left out.
        write: with False, nothing is written and no directory is made.
        device: where to train, as torch names it.
        reporter: told what happens; silent if left out.

    Returns:
        The grown network, its scores and the journal.

    Raises:
        DagrowError: one of its kinds, for whatever a person can mend; a directory that exists stays whole.
    """
    spec = run if isinstance(run, RunSpec) else load_run(run)
    dag = Dag.of(spec.graph)
    place = find_device(device)
    split = load_data(spec.data, dag, LOSSES[spec.training.loss], spec.seed)
    if spec.growth.budget.steps:
        method = find_method(spec.growth.method)
        check_needs(spec.growth.method, method, dag, spec.growth.candidates, split.train.targets[0])
    _check_batches(dag, min(spec.training.batch_size, len(split.train)))
    network = build(spec.graph, seed=spec.seed).to(place)
    optimizer = make_optimizer(network, spec.training)
    # Last of all, so that nothing is left behind where something above is refused.
    directory = RunDirectory.create(out, spec) if write else None
    return _Loop(spec, split.to(place), network, optimizer, directory, reporter or Silent()).run()


def _check_batches(dag: Dag, samples: int) -> None:
    """Batch norm on vectors learns from two samples or more."""
    for name in dag.order:
        if samples == 1 and dag.node(name).norm == "batch" and position_count(dag.merged(name)) == 1:
            raise TrainingError(f"norm 'batch' of '{name}' needs batches of at least 2 samples, not 1")


class _Loop:
    """One run in progress."""

    def __init__(
        self,
        spec: RunSpec,
        split: Split,
        network: Network,
        optimizer: torch.optim.Optimizer,
        directory: RunDirectory | None,
        reporter: Reporter,
    ) -> None:
        self.spec, self.split, self.directory, self.reporter = spec, split, directory, reporter
        self.network, self.optimizer = network, optimizer
        self.objective = Objective(LOSSES[spec.training.loss])
        self.order = torch.Generator().manual_seed(derived_seed(spec.seed, "order of samples"))
        self.looks = torch.Generator().manual_seed(derived_seed(spec.seed, "samples for statistics"))
        self.journal = Journal(directory.journal if directory else None)
        self.epoch = 0

    def run(self) -> GrowthResult:
        """From start to end."""
        torch.manual_seed(derived_seed(self.spec.seed, "dropout"))
        self._save()
        self._event("start", schema=SCHEMA, name=self.spec.name, seed=self.spec.seed)
        self._grow()
        self._train(self.spec.training.final_epochs, "final training")
        return self._finish()

    def _grow(self) -> None:
        growth, dry = self.spec.growth, 0
        for step in range(1, growth.budget.steps + 1):
            self._train(self.spec.training.epochs_between_growth, f"step {step}: training")
            started = time.perf_counter()
            plan, data = self._propose(step)
            best = plan.best
            entries: dict[str, Any] = {"step": step, "plan": plan_entry(plan)}
            if best is None:
                dry += 1
                reason = "nothing gains"
                self.reporter.say(f"step {step}: {reason}\n{_considered(plan)}")
                self._event("growth", **entries, inserted=None, reason=reason)
                if dry >= growth.patience or self.spec.training.epochs_between_growth == 0:
                    break
                continue
            dry = 0
            apply(self.network, best, self.optimizer, insert=growth.insert)
            if self.spec.training.best_updates:
                entries["updates"] = self._update(data)
            if growth.removal is not None:
                entries["removed"] = self._remove(data, growth.removal)
            entries["seconds"] = round(time.perf_counter() - started, 3)
            self._save()
            _, test = self._event("growth", **entries, inserted=candidate_entry(best))
            held = "" if best.held_out_gain is None else f", held out {best.held_out_gain:.4g}"
            self.reporter.say(
                f"step {step}: {inserted_text(candidate_entry(best))}  gain {best.gain:.4g}{held}, "
                f"amplitude {best.amplitude:.3g}; now {cost(self.network.dag).parameters} parameters, test {test}"
            )
            if best.why is not None:
                explain(best.why, step, self.directory, self.reporter)
            self.reporter.say(_considered(plan))

    def _propose(self, step: int) -> tuple[Plan, Batches]:
        growth = self.spec.growth
        data = self._look(step)
        self.reporter.stage(f"step {step}: measuring candidates", 1)
        plan = propose(
            self.network,
            self.objective,
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
            turn=step - 1,
            seed=derived_seed(self.spec.seed, f"method {step}"),
        )
        self.reporter.advance()
        return plan, data

    def _look(self, step: int) -> Batches:
        """The samples of this growth step: drawn anew each time, all of them if that many are needed."""
        self.network.eval()
        train, dag = self.split.train, self.network.dag
        wanted = self.spec.growth.samples
        needed = samples_needed(dag, everywhere=self.spec.growth.candidates != ("widen",))
        count = min(len(train), needed if wanted == "auto" else wanted)
        if count < len(train):
            index = torch.randperm(len(train), generator=self.looks)[:count].sort().values
            train = train.rows(index.to(train.inputs[0].device))
        return train.batches(batch_that_fits(dag))

    def _update(self, data: Batches) -> list[dict[str, Any]]:
        """The best update of every layer in turn, each measured before it is made (thesis Algorithm 9)."""
        growth, made = self.spec.growth, []
        for node in self.network.dag.order:
            if not any(self.network.dag.op(edge).parametrised for edge in self.network.dag.incoming[node]):
                continue
            plan = propose(
                self.network,
                self.objective,
                data,
                candidates=("update",),
                nodes=(node,),
                shrinkage=growth.shrinkage,
                held_out=growth.held_out,
            )
            if plan.best is not None:
                apply(self.network, plan.best, self.optimizer)
                made.append(candidate_entry(plan.best))
        return made

    def _remove(self, data: Batches, limit: float) -> dict[str, Any] | None:
        """Takes away the edge or node that the loss misses least, if it misses it that little."""
        plan = propose(
            self.network,
            self.objective,
            data,
            candidates=("remove",),
            shrinkage=0.0,
            held_out=self.spec.growth.held_out,
            removal=limit,
        )
        if plan.best is None:
            return None
        apply(self.network, plan.best, self.optimizer)
        self.reporter.say(f"    removed {plan.best.place}, gain {plan.best.gain:.4g}")
        return candidate_entry(plan.best)

    def _train(self, epochs: int, what: str) -> None:
        training = self.spec.training
        self.reporter.stage(what, epochs)
        for _ in range(epochs):
            started = time.perf_counter()
            batches = self.split.train.shuffled_batches(training.batch_size, self.order)
            loss = train_epoch(self.network, self.objective, self.optimizer, batches)
            self.epoch += 1
            seconds = round(time.perf_counter() - started, 3)
            self.journal.write("epoch", epoch=self.epoch, running_loss=loss, seconds=seconds)
            self.reporter.advance()

    def _event(self, event: str, **entries: Any) -> tuple[Score, Score]:
        """Writes an event with the network as it is: its graph, size and scores; the scores are returned."""
        train, test = (self._score(samples) for samples in (self.split.train, self.split.test))
        size = cost(self.network.dag)
        self.journal.write(
            event,
            **entries,
            epoch=self.epoch,
            graph=plain_graph(self.network.spec),
            parameters=size.parameters,
            multiply_adds=size.multiply_adds,
            train_loss=train.loss,
            train=asdict(train),
            test=asdict(test),
        )
        return train, test

    def _score(self, samples: Samples) -> Score:
        return evaluate(self.network, self.objective, samples, min(_SCORING_BATCH, batch_that_fits(self.network.dag)))

    def _save(self) -> None:
        if self.directory is not None:
            self.directory.save(self.network)

    def _finish(self) -> GrowthResult:
        self.network.eval()
        if not math.isfinite(loss := self._score(self.split.train).loss):
            raise TrainingError(f"the training loss ended at {loss}: {advice(self.optimizer)}")
        self._save()
        train, test = self._event("end")
        out = None
        if self.directory is not None:
            out = self.directory.path
            export_network(self.network, "python", self.directory.exported, self.spec.name)
        return GrowthResult(self.network, train, test, tuple(self.journal.events), out)


def _considered(plan: Plan) -> str:
    """The candidates in short, the best left out."""
    others = [c for c in plan.candidates if c is not plan.best]
    lines = [
        f"    also {c.kind} {c.place}: " + (c.rejected or f"+{c.neurons}, gain {c.decisive_gain:.4g}")
        for c in others[:_SHOWN]
    ]
    if len(others) > _SHOWN:
        lines.append(f"    and {len(others) - _SHOWN} more, see the journal")
    return "\n".join(lines) or "    no other place could grow"
