"""A list of calls, written as an ``fx.Graph`` is, for code that is run as it stands and never printed or compiled."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False, slots=True)
class Call:
    """One call, or an argument of the whole; as an ``fx.Node``.

    Attributes:
        op: ``placeholder``, ``call_module``, ``call_function`` or ``call_method``.
        target: name of the argument, module or method, or the function.
        args: calls whose results it takes, and constants.
    """

    op: str
    target: str | Callable[..., Any]
    args: tuple[Any, ...] = ()


@dataclass
class Tape:
    """Takes down calls in their order, in a small part of the time that ``fx`` takes for its nodes.

    Attributes:
        nodes: the calls, the arguments of the whole among them.
        results: whose results are returned.
    """

    nodes: list[Call] = field(default_factory=list)
    results: tuple[Call, ...] = ()

    def below(self, start: Call, held: Container[Call]) -> tuple[Tape, tuple[Call, ...]]:
        """What makes the results when the result of one call is not what it was.

        Args:
            start: that call.
            held: calls whose results can be given where they do not need the start; others are made again.

        Returns:
            The calls, with the same results, and what else is given.
        """
        needing = {start}
        for call in self.nodes:
            if not needing.isdisjoint(_taken(call.args)):
                needing.add(call)
        calls: list[Call] = []
        beside: list[Call] = []
        wanted = set(self.results)
        for call in reversed(self.nodes):
            if call is start or call not in wanted:
                continue
            if call not in needing and call in held:
                beside.append(call)
            else:
                calls.append(call)
                wanted.update(_taken(call.args))
        return Tape(calls[::-1], self.results), tuple(beside)

    def placeholder(self, name: str) -> Call:
        """An argument."""
        return self.create_node("placeholder", name)

    def create_node(
        self, op: str, target: str | Callable[..., Any], args: tuple[Any, ...] = (), name: str | None = None
    ) -> Call:
        """Any call; names are for readers of code, of which there is none."""
        self.nodes.append(Call(op, target, args))
        return self.nodes[-1]

    def call_method(self, name: str, args: tuple[Any, ...]) -> Call:
        """A method of the first argument."""
        return self.create_node("call_method", name, args)

    def output(self, results: tuple[Call, ...]) -> None:
        """What is returned."""
        self.results = results


def _taken(arguments: Iterable[Any]) -> Iterator[Call]:
    """The calls among arguments, those in lists too."""
    for argument in arguments:
        if isinstance(argument, Call):
            yield argument
        elif isinstance(argument, list | tuple):
            yield from _taken(argument)
