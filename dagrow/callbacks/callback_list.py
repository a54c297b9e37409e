"""All callbacks of a run: called in order, with what the journal says of the unit that has just ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from dagrow.callbacks.callback import Callback, RunHandle
from dagrow.callbacks.events import (
    EpochEnd,
    Event,
    FinalTraining,
    Growth,
    Insertion,
    Removal,
    RunEnd,
    TakenBack,
)
from dagrow.errors import CallbackError, DagrowError
from dagrow.randomness import random_numbers_kept

Line = Mapping[str, Any]


def checked_callbacks(callbacks: Sequence[Any] | Callback) -> tuple[Callback, ...]:
    """The callbacks, if they are such.

    Raises:
        DagrowError: naming the first that is none.
    """
    if isinstance(callbacks, Callback):
        return (callbacks,)
    for each in callbacks:
        if not isinstance(each, Callback):
            kind = each.__name__ if isinstance(each, type) else type(each).__name__
            given = f"the class {kind}, not an object of it" if isinstance(each, type) else f"a {kind}"
            raise DagrowError(f"callbacks must be objects of subclasses of dagrow.Callback; one of them is {given}")
    return tuple(callbacks)


class CallbackList:
    """The callbacks of one run.

    Args:
        callbacks: in the order in which they are called.
        run: what they see of the run.
    """

    def __init__(self, callbacks: Sequence[Callback], run: RunHandle) -> None:
        self.callbacks, self.run = callbacks, run
        self._ended = False

    def tell(self, method: str, event: Event) -> None:
        """Calls one method of each callback.

        Raises:
            CallbackError: if one of them raises anything.
        """
        for callback in self.callbacks:
            with random_numbers_kept():
                try:
                    getattr(callback, method)(self.run, event)
                except Exception as error:
                    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
                    name = type(callback).__name__
                    raise CallbackError(f"the callback {name} failed in {method} ({text})") from error

    def tell_unit(self, lines: Sequence[Line], step: int, learning_rate: float) -> None:
        """Tells what happened in one unit of the run.

        Args:
            lines: of the journal that were written in it.
            step: growth steps so far.
            learning_rate: of the first parameter group.

        Raises:
            CallbackError: if a callback raises anything.
        """
        if self.callbacks:
            for method, event in _events(lines, step, learning_rate):
                self._ended = method == "on_end"
                self.tell(method, event)

    def failed(self, error: BaseException) -> list[str]:
        """Tells that the run ends by an error.

        Returns:
            What went wrong in doing so, in a sentence each: no reason to hide the error itself.
        """
        problems = []
        for callback in () if self._ended else self.callbacks:
            try:
                callback.on_error(self.run, error)
            except Exception as other:
                problems.append(f"the callback {type(callback).__name__} failed in on_error ({other})")
        return problems


def _events(lines: Sequence[Line], step: int, learning_rate: float) -> Iterator[tuple[str, Event]]:
    validation = next((line["score"] for line in lines if line["event"] == "validation"), None)
    measured: Line = next((line["values"] for line in lines if line["event"] == "metrics"), {})
    context = {"validation": validation, "metrics": dict(measured)}
    for line in lines:
        if line["event"] in _READERS:
            yield from _READERS[line["event"]](line, step, learning_rate, context)


def _epoch(line: Line, step: int, learning_rate: float, context: Line) -> Iterator[tuple[str, Event]]:
    event = EpochEnd(line["epoch"], step, line["running_loss"], learning_rate, line["seconds"], **context)
    yield "on_epoch_end", event


def _taken_back(line: Line, step: int, learning_rate: float, context: Line) -> Iterator[tuple[str, Event]]:
    yield "on_taken_back", TakenBack(line["epoch"], step, line["running_loss"], line["reason"])


def _growth(line: Line, step: int, learning_rate: float, context: Line) -> Iterator[tuple[str, Event]]:
    chosen, plan = line["inserted"], line["plan"] or {}
    yield (
        "on_growth",
        Growth(
            line["epoch"],
            step,
            tuple(plan.get("candidates", ())),
            chosen,
            None if chosen is None else chosen["gain"],
            line.get("reason"),
            line["train"],
            line["test"],
            line["parameters"],
            **context,
        ),
    )
    if chosen is not None:
        what = (chosen["kind"], chosen["place"], chosen["neurons"], chosen["gain"])
        yield "on_insertion", Insertion(line["epoch"], step, *what, line.get("insert"), line["parameters"])


def _removal(line: Line, step: int, learning_rate: float, context: Line) -> Iterator[tuple[str, Event]]:
    if (removed := line["removed"]) is not None:
        yield "on_removal", Removal(line["epoch"], step, removed["place"], removed["gain"], line["parameters"])


def _finish(line: Line, step: int, learning_rate: float, context: Line) -> Iterator[tuple[str, Event]]:
    yield "on_final_training", FinalTraining(line["epoch"], step, line["units"], line["parameters"])


def _end(line: Line, step: int, learning_rate: float, context: Line) -> Iterator[tuple[str, Event]]:
    end = RunEnd(line["epoch"], step, line["train"], line["test"], line["parameters"], context["metrics"])
    yield "on_end", end


_READERS: dict[str, Callable[[Line, int, float, Line], Iterator[tuple[str, Event]]]] = {
    "epoch": _epoch,
    "taken_back": _taken_back,
    "growth": _growth,
    "removal": _removal,
    "finish": _finish,
    "end": _end,
}
"""What the events of a journal become, by their names there; others are told to nobody."""
