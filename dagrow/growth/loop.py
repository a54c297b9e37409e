"""The loop: train, propose, insert, repeat. It can be entered between any two of its units."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, replace

from dagrow.callbacks import Callback
from dagrow.flop_counter import MacCounter, counted
from dagrow.growth.counterfactual import Counterfactual, measure_later_gain
from dagrow.growth.final_training import ends_worse, floor, over_fit, set_rates, take_back, under_fit
from dagrow.growth.growth_step import StepOutcome, budget_spent, growth_step, removal_step
from dagrow.growth.messages import calibration_text, epoch_text, removal_text, step_text
from dagrow.growth.rehearsal import begin_finish
from dagrow.growth.watchers import Watchers
from dagrow.journal.events import SCHEMA
from dagrow.report import Reporter, show_metrics
from dagrow.runs.recorder import RunRecorder
from dagrow.runs.result import GrowthResult
from dagrow.training.annealing import after_pass
from dagrow.training.epochs import Score, TrainingError, advice
from dagrow.training.prior import LEARNED, constant_loss
from dagrow.training.progress import Progress
from dagrow.training.replicas import synchronize_weights
from dagrow.training.schedules import (
    Unit,
    after_growth,
    after_training,
    growth_is_over,
    next_unit,
    schedule_of,
    units_planned,
)
from dagrow.training.snapshot import network_of
from dagrow.training.state import RunContext, RunState
from dagrow.training.threads import threads_of
from dagrow.training.train_unit import train_unit
from dagrow.training.validation import error_of, validation_entries


class Loop:
    """A run in progress.

    Args:
        task: what the run is about.
        state: where it stands; changed in place.
        record: what is written of it.
        reporter: told what happens.
        callbacks: of the user; all processes have the same, and the first calls them.
    """

    def __init__(
        self,
        task: RunContext,
        state: RunState,
        record: RunRecorder,
        reporter: Reporter,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self.task, self.state, self.record, self.reporter = task, state, record, reporter
        self.watchers = Watchers(task, state, record, reporter, callbacks)
        self.units = {
            Unit.START: self._start,
            Unit.EPOCH: self._epoch,
            Unit.GROWTH: self._growth,
            Unit.FINISH: self._finish,
        }
        if state.progress.finishing:
            self._take_all_samples(task.with_all_samples())
        self.stage, self.threads = "", 0
        self.judged: Score | None = None
        self.constant: float | None = None

    def run(self) -> GrowthResult:
        """Unit by unit to the end.

        Raises:
            TrainingError: if the loss is no number any more.
            RunError: if something cannot be written.
        """
        with self.watchers:
            return self._run()

    def _run(self) -> GrowthResult:
        try:
            while (unit := next_unit(self.task.spec, self.state.progress)) is not Unit.END:
                with threads_of(unit, self.task, self.state) as self.threads:
                    self.state.progress = self.units[unit]()
                    self._check_weights()
                    self._validate()
                if unit in (Unit.EPOCH, Unit.GROWTH):
                    self.watchers.measure(self.task)
                self.record.after(unit, self.state)
                if self.watchers.ask_to_stop():
                    break
            return self._end()
        except TrainingError as error:
            done = self.state.progress
            self.record.write("stopped", epoch=done.epoch, step=done.step, reason=str(error))
            raise

    def _start(self) -> Progress:
        spec = self.task.spec
        samples = len(self.task.split.train)
        self.record.write_scored("start", self.state, schema=SCHEMA, name=spec.name, seed=spec.seed, samples=samples)
        return self.state.progress.after_start()

    def _epoch(self) -> Progress:
        spec, state = self.task.spec, self.state
        over, planned = growth_is_over(spec, state.progress), units_planned(spec, state.progress)
        self._enter("final training" if over else f"step {state.progress.step + 1}: training", planned)
        watched, before = schedule_of(spec).by_width, state.progress
        if watched:
            set_rates(self.task, state)
        started = time.perf_counter()
        trained = train_unit(self.task, state)
        seconds = round(time.perf_counter() - started, 3)
        told = take_back(self.task, state, trained.loss, before) if watched else None
        judged = self._monitored_loss(trained.loss)
        done = after_training(spec, state.progress, *judged)
        if watched and next_unit(spec, done) is Unit.GROWTH and budget_spent(spec, state.network.dag):
            done = replace(done, growth_finished=True)
        state.progress = done
        show_metrics(self.reporter, epoch_text(done.epoch, trained.loss, self.judged))
        if told:
            self.record.write("taken_back", epoch=done.epoch, seconds=seconds, reason=told, **trained.entries)
            self.reporter.say(f"epoch {done.epoch}: {told}")
            self.reporter.advance()
            return done
        self.record.write("epoch", epoch=done.epoch, seconds=seconds, threads=self.threads, **trained.entries)
        self.reporter.advance()
        if told := after_pass(self.task, state, trained.removed):
            self.record.write("rewind", epoch=done.epoch, what=told)
            self.reporter.say(f"epoch {done.epoch}: {told}")
        return state.progress

    def _monitored_loss(self, training_loss: float) -> tuple[float, float]:
        """The loss and the error by which the schedule sees how training gets on."""
        state, samples = self.state, self.task.held_out
        if not schedule_of(self.task.spec).by_validation or samples is None:
            return training_loss, training_loss
        self.judged = self.task.score(state.average.network(state.network), samples)
        loss, done = self.judged.loss, state.progress
        if self.constant is None:
            self.constant = constant_loss(self.task.objective, state.network.dag, self.task.split.train, samples)
        best = min(x for x in (loss, done.lowest, done.best_loss) if x is not None)
        unlearned = self.constant is not None and best > LEARNED * self.constant
        state.progress = replace(
            done,
            over_fit=over_fit(training_loss, loss),
            under_fit=under_fit(training_loss, loss),
            unlearned=unlearned,
        )
        return max(loss, floor(self.task.objective, self.constant)), error_of(self.judged)

    def _finish(self) -> Progress:
        """The final training begins, after its rehearsal."""
        self._enter("rehearsing the final training", 1)
        started = time.perf_counter()
        task, entries = begin_finish(self.task, self.state)
        seconds = round(time.perf_counter() - started, 3)
        self._take_all_samples(task)
        self.reporter.advance()
        done = self.state.progress
        self.record.write_scored("finish", self.state, units=done.final_units, seconds=seconds, **entries)
        return done

    def _take_all_samples(self, task: RunContext) -> None:
        self.task = self.record.task = task

    def _growth(self) -> Progress:
        state, number = self.state, self.state.progress.step + 1
        self._enter(f"step {number}: measuring candidates", 1)
        before = self.task.score(state.network, self.task.split.test)
        twin = Counterfactual.of(state) if self.task.spec.growth.measure_later_gain else None
        started = time.perf_counter()
        with counted() as work:
            outcome = growth_step(self.task, state, number)
        synchronize_weights(self.task, state, f"graph in growth step {number}")
        seconds = round(time.perf_counter() - started, 3)
        self.reporter.advance()
        spent = {"before": asdict(before), "seconds": seconds, "work": self._spent(work)}
        if outcome.plan is None:
            reason = f"nothing was inserted: {outcome.entries['reason']}"
            self.record.write("warning", epoch=state.progress.epoch, step=number, message=reason)
        _, test = self.record.write_scored("growth", state, **outcome.entries, **spent)
        self.reporter.say(step_text(outcome, state, test))
        if outcome.made is not None:
            if problem := self.record.draw(outcome.made, number):
                self.reporter.say(f"    not drawn: {problem}")
            self._removal(number, outcome)
            if twin is not None:
                self._calibration(twin, number)
        changed = outcome.made is not None
        return after_growth(self.task.spec, state.progress, outcome.gained, outcome.places, changed)

    def _removal(self, number: int, outcome: StepOutcome) -> None:
        """What follows an insertion, where the run file asks for it."""
        started = time.perf_counter()
        with counted() as work:
            removal = removal_step(self.task, self.state, number, outcome.data)
        if removal:
            synchronize_weights(self.task, self.state, f"graph after the removal in growth step {number}")
            seconds = round(time.perf_counter() - started, 3)
            self.record.write_scored("removal", self.state, **removal.entries, seconds=seconds, work=self._spent(work))
            self.reporter.say(removal_text(removal))

    def _calibration(self, twin: Counterfactual, number: int) -> None:
        """What the insertion is worth some steps later."""
        started = time.perf_counter()
        found = measure_later_gain(self.task, twin, self.state, number)
        seconds = round(time.perf_counter() - started, 3)
        self.record.write("calibration", epoch=self.state.progress.epoch, **found, seconds=seconds)
        self.reporter.say(calibration_text(found))

    def _spent(self, work: MacCounter) -> int:
        """Multiply-adds of all processes."""
        return int(self.task.processes.sums(work.multiply_adds)[0])

    def _validate(self) -> None:
        """Keeps the network if it is the best so far on the samples kept back for that."""
        state, best, samples = self.state, self.state.best, self.task.held_out
        if best is None or samples is None:
            if (given := self.task.split.validation) is not None:
                score = self.task.score(state.average.network(state.network), given)
                entries = validation_entries(score, kept=False)
                self.record.write("validation", epoch=state.progress.epoch, step=state.progress.step, **entries)
            return
        network = state.average.network(state.network)
        # After training the schedule may have asked for this score already.
        score, done = self.judged or self.task.score(network, samples), state.progress
        self.judged = None
        kept = best.note(network, score, done.epoch, done.step)
        if kept and done.step == 0 and schedule_of(self.task.spec).by_width:
            state.ungrown = replace(best)
        self.record.write("validation", epoch=done.epoch, step=done.step, **validation_entries(score, kept=kept))

    def _hand_back(self) -> None:
        """Ends with the averages where there are any; with the network that was best, where that is known."""
        state, best = self.state, self.state.best
        finished = state.progress.finishing and not ends_worse(self.task, state)
        if finished or best is None or best.graph is None:
            state.average.put_into(state.network)
            return
        state.network = network_of(vars(best)).to(state.device)
        classes = self.task.objective.loss.correct is not None
        error = f"{best.error:.2%} wrong" if classes else f"loss {best.error:.4g}"
        self.reporter.say(
            f"best on validation samples, {error}: the network after {best.epoch} epochs and growth "
            f"step {best.step} is handed back"
        )

    def _end(self) -> GrowthResult:
        self._hand_back()
        network = self.state.network.eval()
        if not math.isfinite(loss := self.task.score(network, self.task.split.train).loss):
            raise TrainingError(f"the training loss ended at {loss}: {advice(self.state.optimizer)}")
        metrics = self.watchers.measure_end(self.task)
        train, test = self.record.finish(self.state)
        self.watchers.tell_end()
        network = self.task.in_user_units(network)
        out = None if self.record.directory is None else self.record.directory.path
        preprocessing = self.task.split.preprocessing
        return GrowthResult(network, train, test, tuple(self.record.journal.events), out, preprocessing, metrics)

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
