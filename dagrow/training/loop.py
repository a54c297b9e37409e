"""The loop: train, propose, insert, repeat. It can be entered between any two of its units."""

from __future__ import annotations

import math
import time

from dagrow.report import Reporter
from dagrow.training.epochs import TrainingError, advice, train_epoch
from dagrow.training.growth_step import growth_step
from dagrow.training.journal import SCHEMA
from dagrow.training.progress import Progress, Unit, epochs_planned, growth_is_over, next_unit
from dagrow.training.record import Record
from dagrow.training.result import GrowthResult
from dagrow.training.state import RunState, Task
from dagrow.training.together import seed_pass, settle
from dagrow.training.told import step_text


class Loop:
    """A run in progress.

    Args:
        task: what the run is about.
        state: where it stands; changed in place.
        record: what is written of it.
        reporter: told what happens.
    """

    def __init__(self, task: Task, state: RunState, record: Record, reporter: Reporter) -> None:
        self.task, self.state, self.record, self.reporter = task, state, record, reporter
        self.units = {Unit.START: self._start, Unit.EPOCH: self._epoch, Unit.GROWTH: self._growth}
        self.stage = ""

    def run(self) -> GrowthResult:
        """Unit by unit to the end.

        Raises:
            TrainingError: if the loss is no number any more.
            RunError: if something cannot be written.
        """
        try:
            while (unit := next_unit(self.task.spec, self.state.progress)) is not Unit.END:
                self.state.progress = self.units[unit]()
                self._check_weights()
                self.record.after(unit, self.state)
            return self._end()
        except TrainingError as error:
            done = self.state.progress
            self.record.write("stopped", epoch=done.epoch, step=done.step, reason=str(error))
            raise

    def _start(self) -> Progress:
        spec = self.task.spec
        self.record.write_scored("start", self.state, schema=SCHEMA, name=spec.name, seed=spec.seed)
        return self.state.progress.after_start()

    def _epoch(self) -> Progress:
        spec, state = self.task.spec, self.state
        over, planned = growth_is_over(spec, state.progress), epochs_planned(spec, state.progress)
        self._enter("final training" if over else f"step {state.progress.step + 1}: training", planned)
        started = time.perf_counter()
        batches = self.task.split.train.shuffled_batches(spec.training.batch_size, state.order, self.task.processes)
        seed_pass(self.task, state)
        loss = train_epoch(state.network, self.task.objective, state.optimizer, batches, self._after_step)
        state.schedule.after_epoch(loss)
        seconds = round(time.perf_counter() - started, 3)
        done = state.progress.after_epoch()
        self.record.write("epoch", epoch=done.epoch, running_loss=loss, seconds=seconds)
        self.reporter.advance()
        return done

    def _after_step(self) -> None:
        self.state.average.after_step(self.state.network)

    def _growth(self) -> Progress:
        state, number = self.state, self.state.progress.step + 1
        self._enter(f"step {number}: measuring candidates", 1)
        started = time.perf_counter()
        outcome = growth_step(self.task, state, number)
        settle(self.task, state, f"graph in growth step {number}")
        seconds = round(time.perf_counter() - started, 3)
        self.reporter.advance()
        _, test = self.record.write_scored("growth", state, **outcome.entries, seconds=seconds)
        self.reporter.say(step_text(outcome, state, test))
        return state.progress.after_growth(self.task.spec, outcome.inserted is not None)

    def _end(self) -> GrowthResult:
        network = self.state.network.eval()
        self.state.average.put_into(network)
        if not math.isfinite(loss := self.task.score(network, self.task.split.train).loss):
            raise TrainingError(f"the training loss ended at {loss}: {advice(self.state.optimizer)}")
        train, test = self.record.finish(self.state)
        out = None if self.record.directory is None else self.record.directory.path
        return GrowthResult(network, train, test, tuple(self.record.journal.events), out)

    def _check_weights(self) -> None:
        """Stops before anything is kept that no run could go on from."""
        network = self.state.network
        if not all(bool(value.isfinite().all()) for value in network.state_dict().values()):
            raise TrainingError(f"the weights became infinite or NaN: {advice(self.state.optimizer)}")

    def _enter(self, stage: str, units: int) -> None:
        """Tells the reporter of a stage, once."""
        if stage != self.stage:
            self.stage = stage
            self.reporter.stage(stage, units)
