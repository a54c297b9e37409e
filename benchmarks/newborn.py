"""What becomes of new weights, and of old ones beside them: changes that have no setting, because of this table.

    python benchmarks/newborn.py [fashion mnist] --npz FOLDER [--only "part 0.5"] [--seeds 5] [--out DIR]

For each problem of `problems.py`: growth by its defaults, at the amplitude, and with one change besides; test accuracy
and loss, and how far accuracy is above and loss below those of the defaults, seed by seed with its 95 % interval.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import torch
from factors import cells, line, options

from dagrow.growth import growth_step
from dagrow.mutation import Change
from dagrow.planner import INSERT
from dagrow.report import table
from dagrow.training import train_unit as descent
from dagrow.training.warm_up import WarmUp


def scaled(fan_in: float, fan_out: float, silent: bool = False) -> Callable[[Any, float], Change]:
    """A way to insert: the measured weights, by so much longer."""

    def made(trial: Any, amplitude: float) -> Change:
        change = trial.scaled(amplitude, silent=silent)
        updates = tuple(update.scaled(fan_out) for update in change.updates)
        return replace(change, features=change.features and change.features.scaled(fan_in, fan_out), updates=updates)

    return made


def inserted(way: Callable[[Any, float], Change]) -> Any:
    """In place of what the defaults do."""
    return mock.patch.dict(INSERT, zero_fan_out_unscaled=way, amplitude=way)


@contextmanager
def treated(treat: Callable[[Any, Any, str, int], None]) -> Iterator[None]:
    """After each insertion: of ``(network, optimizer, node, features that were there)``."""
    insert = growth_step.insert

    def then(task: Any, network: Any, candidate: Any, optimizer: Any, averages: Any = ()) -> str:
        before = network.dag.size(candidate.place)
        way = insert(task, network, candidate, optimizer, averages)
        with torch.no_grad():
            treat(network, optimizer, candidate.place, before)
        return way

    with mock.patch.object(growth_step, "insert", then):
        yield


def same_variance(network: Any, optimizer: Any, node: str, before: int) -> None:
    """Old fan-outs shrink by the root of old over new width: as if all were first weights of the wider layer."""
    for edge in network.dag.outgoing[node]:
        weight = network.get_submodule(f"{edge.target}.from_{node}").weight
        weight[:, :before] *= (before / network.dag.size(node)) ** 0.5


def old_moments(network: Any, optimizer: Any, node: str, before: int) -> None:
    """New weights start with the mean second moment of the old ones, in place of 0."""
    into = [(f"{node}.from_{edge.source}", 0) for edge in network.dag.incoming[node]]
    out = [(f"{edge.target}.from_{node}", 1) for edge in network.dag.outgoing[node]]
    for layer, axis in (*into, *out):
        if state := optimizer.state.get(network.get_submodule(layer).weight):
            moment = state["exp_avg_sq"].movedim(axis, 0)
            moment[before:] = moment[:before].mean()


class Slow(WarmUp):
    """New weights take a third of each step of Adam for good."""

    def __init__(self, optimizer: torch.optim.Optimizer, steps: int, grown: bool) -> None:
        super().__init__(optimizer, 10**6, grown)

    def share(self, age: torch.Tensor) -> torch.Tensor:
        """Of the step, by how many steps a weight has had."""
        return torch.where(age < self.steps, 1 / 3, 1.0)


CHANGES: Mapping[str, Callable[[], Any]] = {
    "amplitude": lambda: inserted(scaled(1, 1)),
    "part 0.5": lambda: inserted(scaled(1, 0.5)),
    "part 0.2": lambda: inserted(scaled(1, 0.2)),
    "balance 3": lambda: inserted(scaled(3, 1 / 3)),
    "balance 1/3": lambda: inserted(scaled(1 / 3, 3)),
    "silent, fan-in x 3": lambda: inserted(scaled(3, 1, silent=True)),
    "silent, fan-in x 0.3": lambda: inserted(scaled(0.3, 1, silent=True)),
    "old variance": lambda: treated(same_variance),
    "old moments": lambda: treated(old_moments),
    "a third of the step": lambda: mock.patch.object(descent, "WarmUp", Slow),
}
"""One at a time. Fan-in and fan-out longer and shorter by the same compute the same behind relu."""


def main() -> None:
    """A table for each problem."""
    args = options(__doc__.splitlines()[0], ("fashion", "mnist"), CHANGES).parse_args()
    head = ("change", "parameters", "work G", "accuracy", "loss", "accuracy above default", "loss below it")
    with TemporaryDirectory() as scratch:
        for name in args.problems:
            out, folder = (args.out or Path(scratch)) / name, args.npz.resolve()
            default = cells(name, args.seeds, folder, (), out / "default")
            lines = [["default", *line(default, default)]]
            for change in args.only:
                with CHANGES[change]():
                    found = cells(name, args.seeds, folder, (), out / change.replace("/", " to "))
                lines.append([change, *line(found, default)])
                print(name, *lines[-1], sep="  ", flush=True)
            print(f"\n{name}, {args.seeds} seeds\n{table(head, lines)}\n", flush=True)


if __name__ == "__main__":
    main()
