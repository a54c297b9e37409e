"""Cells that are run: one after another here, or several at a time, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess

import torch

from dagrow.compare.directory import ComparisonDirectory
from dagrow.compare.runs import Cell
from dagrow.errors import DagrowError
from dagrow.growth import grow
from dagrow.registry import load_plugins, plugins_are_loaded
from dagrow.report import Reporter, Silent

_PROCESSES: ForkServerContext | SpawnContext = (
    multiprocessing.get_context("forkserver")
    if "forkserver" in multiprocessing.get_all_start_methods()
    else multiprocessing.get_context("spawn")
)
"""A forkserver imports everything once for all cells."""

_IMPORTED = ["dagrow.training", "sklearn.datasets", "torch._dynamo"]


def run_cell(directory: ComparisonDirectory, cell: Cell, device: str, reporter: Reporter) -> None:
    """Runs a cell; its run directory is in its place afterwards.

    Raises:
        DagrowError: if the run fails; nothing is left of it.
    """
    with directory.writing(cell) as folder:
        grow(cell.run, out=folder, device=device, reporter=reporter)


@dataclass
class Jobs:
    """Cells in processes of their own, a bounded number at a time.

    Attributes:
        directory: of the comparison.
        count: at most so many at a time; they share torch's threads.
        device: where to train.
    """

    directory: ComparisonDirectory
    count: int
    device: str
    _running: dict[Connection, tuple[Cell, BaseProcess]] = field(default_factory=dict)

    @contextmanager
    def started(self) -> Iterator[Jobs]:
        """Takes cells within the context; what still runs at its end is ended."""
        _PROCESSES.set_forkserver_preload(_IMPORTED)
        try:
            yield self
        finally:
            for _, process in self._running.values():
                process.kill()
                process.join()

    @property
    def free(self) -> bool:
        """Whether another cell can be taken."""
        return len(self._running) < self.count

    def __bool__(self) -> bool:
        """Whether any are running."""
        return bool(self._running)

    def start(self, cell: Cell) -> None:
        """Starts the run of a cell."""
        here, there = _PROCESSES.Pipe(duplex=False)
        threads = max(1, torch.get_num_threads() // self.count)
        process = _PROCESSES.Process(
            target=_work, args=(self.directory, cell, self.device, threads, plugins_are_loaded(), there)
        )
        process.start()
        there.close()
        self._running[here] = (cell, process)

    def ended(self) -> Iterator[tuple[Cell, str]]:
        """Waits for a cell to end: those that have, each with what went wrong, empty if nothing did."""
        ready = wait(list(self._running))
        for connection in [own for own in self._running if own in ready]:
            cell, process = self._running[connection]
            try:
                error = str(connection.recv())
            except EOFError:
                process.join()
                error = f"its process ended with exit code {process.exitcode}"
            process.join()
            del self._running[connection]
            yield cell, error


def _work(
    directory: ComparisonDirectory, cell: Cell, device: str, threads: int, plugins: bool, out: Connection
) -> None:
    """What the process of a cell does. It ends with the one that started it, which alone is interrupted."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    if plugins:
        load_plugins()
    try:
        run_cell(directory, cell, device, Silent())
    except DagrowError as error:
        out.send(str(error))
    else:
        out.send("")


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
