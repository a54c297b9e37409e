"""What watches a run from outside: metrics of the user, callbacks, and their wish to stop."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from dagrow.callbacks import Callback, CallbackList, RunBegin, RunHandle
from dagrow.errors import CallbackError
from dagrow.report import Reporter
from dagrow.runs.recorder import RunRecorder
from dagrow.training.progress import Progress
from dagrow.training.state import RunContext, RunState


class Watchers:
    """Callbacks and metrics of a run, as a context manager around it.

    Callbacks are called between two units of the run, when its state is whole: what one of them raises ends the run,
    and the state is kept first.

    Args:
        task: of the run.
        state: of the run, as it is at each time.
        record: where metrics go, and what callbacks are told from.
        reporter: told what callbacks want.
        callbacks: in the order in which they are called.
    """

    def __init__(
        self, task: RunContext, state: RunState, record: RunRecorder, reporter: Reporter, callbacks: Sequence[Callback]
    ) -> None:
        self.state, self.record, self.reporter = state, record, reporter
        self.metrics, self.processes, self.watched = task.metrics, task.processes, bool(callbacks)
        out = None if record.directory is None else record.directory.path
        handle = RunHandle(task.spec.name, task.spec.model_dump(mode="json"), out, state.network)
        self.callbacks = CallbackList(callbacks if task.processes.rank == 0 else (), handle)
        self._told = len(record.journal.events)

    def __enter__(self) -> None:
        """Tells that the run begins."""
        done = self.state.progress
        event = RunBegin(done.epoch, done.step, resumed=done != Progress(), metrics=self.metrics.names)
        try:
            self.callbacks.tell("on_begin", event)
        except CallbackError as error:
            self._close(error)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Tells that the run ends by an error, if it does."""
        if error is not None:
            self._close(error)

    def measure(self, task: RunContext) -> None:
        """Measures the metrics of the network as it is: on validation samples, on test samples where there are none."""
        if self.metrics:
            validation = task.split.validation if task.held_out is None else task.held_out
            samples = task.split.test if validation is None else validation
            network, done = self.state.average.network(self.state.network), self.state.progress
            values, part = task.measure(network, samples), "test" if validation is None else "validation"
            self.record.write("metrics", epoch=done.epoch, step=done.step, samples=part, values=values)

    def measure_end(self, task: RunContext) -> dict[str, float]:
        """Measures them on the test samples, of the network that the run hands back."""
        if not self.metrics:
            return {}
        values, done = task.measure(self.state.network, task.split.test), self.state.progress
        self.record.write("metrics", epoch=done.epoch, step=done.step, samples="test", values=values)
        return values

    def ask_to_stop(self) -> bool:
        """Tells what happened in the unit that has just ended; whether a callback asks the run to stop.

        Raises:
            CallbackError: if a callback raises anything, once the state is kept.
        """
        if not self.watched:
            return False
        try:
            self._tell()
        except CallbackError as error:
            if self.record.directory is not None and self.record.kept != self.state.progress:
                self.record.keep(self.record.directory, self.state)
            kept = self.record.kept_text("with resume it continues from")
            raise CallbackError(f"{error}; {kept}") from error.__cause__
        reason = self.callbacks.run.stop_reason
        if not self.processes.numbers(reason is not None)[0]:
            return False
        self.record.write("warning", epoch=self.state.progress.epoch, message=f"stopped by a callback: {reason}")
        self.reporter.say(f"stopped by a callback: {reason}")
        return True

    def tell_end(self) -> None:
        """Tells that the run has ended.

        Raises:
            CallbackError: if a callback raises anything; the run is complete all the same.
        """
        try:
            self._tell()
        except CallbackError as error:
            where = "" if self.record.directory is None else f", in {self.record.directory.path}"
            raise CallbackError(f"{error}; the run itself has ended well{where}") from error.__cause__

    def _tell(self) -> None:
        lines = self.record.journal.events[self._told :]
        self._told += len(lines)
        self.callbacks.run.network = self.state.network
        rate = float(self.state.optimizer.param_groups[0]["lr"])
        self.callbacks.tell_unit(lines, self.state.progress.step, rate)

    def _close(self, error: BaseException) -> None:
        for problem in self.callbacks.failed(error):
            self.reporter.say(problem)
