"""The one seam between a run and the processes that share it. A single process has nobody to ask."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


class Processes:
    """All processes of a run, seen from one of them; this class is a run of one process.

    All of them call the same methods in the same order; all but `before` and `part` give all of them the same.

    Attributes:
        rank: of this one, from 0; number 0 alone writes and reports.
        count: how many there are.
    """

    rank: int = 0
    count: int = 1

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replaces each tensor by its sum over all processes; of the same shapes everywhere."""

    def sums(self, *numbers: float) -> tuple[float, ...]:
        """The sum of each number over all processes, in float64."""
        return numbers

    def numbers(self, number: int) -> tuple[int, ...]:
        """The whole numbers that the processes give, in their order."""
        return (number,)

    def gather(self, rows: Tensor) -> Tensor:
        """The rows of all processes, one below the other in their order; there may be none in some."""
        return rows

    def exchange(self, value: Any) -> list[Any]:
        """What the processes give, in their order: plain data and tensors, as `dagrow.serialization.pack` takes them.

        Tensors that come from other processes are on the CPU.
        """
        return [value]

    def agree(self, what: str, found: str) -> None:
        """Makes sure that all processes found the same.

        Args:
            what: for the message.
            found: any text; its hash is compared.

        Raises:
            ProcessError: if they did not.
        """

    def copy_first(self, tensors: Sequence[Tensor]) -> None:
        """Gives all processes the tensors of the first; of the same shapes everywhere."""

    def copy_bytes(self, content: bytes = b"") -> bytes:
        """The content that the first process gives."""
        return content

    def parallel(self, network: nn.Module) -> nn.Module:
        """The network with gradients that are the mean over the processes, as it is now: make it anew after growth."""
        return network

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within it, what torch says of a lost process becomes one sentence."""
        yield

    def before(self, number: int) -> int:
        """The sum of the numbers that the processes before this one give."""
        return sum(self.numbers(number)[: self.rank])

    def part(self, start: int, stop: int) -> slice:
        """This process's part of the places from ``start`` to ``stop``: in a row, all parts about equal."""
        size = stop - start
        return slice(start + size * self.rank // self.count, start + size * (self.rank + 1) // self.count)


ALONE = Processes()
"""A run of one process."""
