"""What a measured gain says of the gain some gradient steps later.

    python benchmarks/later_gain.py [NAME ...] [--seeds 2] [--insert amplitude]

Drawn and shipped sets of `versus.py`, cut to `ROWS` samples; ``x -> y`` grows freely with every kind of insertion, a
growth step after each `STEPS` gradient steps. Two questions, both answered by Spearman's rank correlation with the drop
of the training loss after so many steps, beside a twin that did not grow and saw the same batches:

- of the insertions of a run, one after the other (``growth.measure_later_gain``);
- of the candidates of one growth step, which is what a choice is about (``growth.trial_training``): the mean over the
  steps of all seeds that have three or more, and the share of the best later gain that the candidate with the highest
  prediction had.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from versus import Problem, graphs, problem, run_of

import dagrow
from dagrow.report.ranks import rank_correlation

SETS = ("quantiles", "digits", "friedman1", "moons", "clusters", "diabetes", "parity", "wine")
ROWS = 800
STEPS = 100
TIMETABLE = (
    "growth.schedule=steps",
    f"training.steps_between_growth={STEPS}",
    "training.final_epochs=0",
    "training.optimizer={name: adam, lr: 0.003}",
    "training.standardize_targets=true",
    "growth.budget.steps=5",
    "growth.neurons=4",
    "growth.significance=0",
    "growth.patience=5",
)
Entry = Mapping[str, Any]
Pairs = list[tuple[float, float]]

PREDICTIONS: dict[str, Callable[[Entry], float | None]] = {
    "gain": lambda entry: entry["gain"],
    "held out": lambda entry: entry["held_out_gain"],
    "first order": lambda entry: entry["first_order_gain"],
    "gain per parameter": lambda entry: entry["gain"] / max(1, entry["parameters"]),
    "parameters": lambda entry: entry["parameters"],
}
"""What is known of a candidate before any training; the last one is a control."""


def runs(data: Problem, seeds: int, *changes: str) -> Iterator[dagrow.GrowthResult]:
    """Of the free graph."""
    graph = dict(graphs(data.x.shape[1], data.outputs))["free"]
    for seed in range(seeds):
        yield run_of(data, graph, seed, *TIMETABLE, *changes)


def one_after_the_other(results: Sequence[dagrow.GrowthResult]) -> dict[str, float | None]:
    """For each prediction the correlation over all insertions of these runs."""
    pairs: dict[str, Pairs] = {name: [] for name in PREDICTIONS}
    for result in results:
        later = {event["step"]: event["gain"] for event in result.events if event["event"] == "calibration"}
        for event in result.events:
            if event["event"] == "growth" and event["inserted"] and later.get(event["step"]) is not None:
                for name, prediction in PREDICTIONS.items():
                    if (value := prediction(event["inserted"])) is not None:
                        pairs[name].append((value, later[event["step"]]))
    return {name: rank_correlation(found) for name, found in pairs.items()}


def beside_each_other(results: Sequence[dagrow.GrowthResult]) -> dict[str, tuple[float, float, int]]:
    """For each prediction the mean correlation within a step, the share of the best later gain, and of how many."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in PREDICTIONS}
    for event in (event for result in results for event in result.events):
        if event["event"] != "growth" or not event.get("tryout"):
            continue
        known = {(entry["kind"], entry["place"]): entry for entry in event["plan"]["candidates"]}
        tried = [(known[each["kind"], each["place"]], each["gain"]) for each in event["tryout"]]
        tried = [(entry, gain) for entry, gain in tried if gain is not None]
        best = max((gain for _, gain in tried), default=0.0)
        for name, prediction in PREDICTIONS.items():
            pairs = [(value, gain) for entry, gain in tried if (value := prediction(entry)) is not None]
            correlation = rank_correlation(pairs)
            if correlation is not None and best > 0:
                found[name].append((correlation, max(max(pairs)[1], 0.0) / best))
    return {
        name: (*(float(value) for value in np.mean(rows, 0)), len(rows)) if rows else (np.nan, np.nan, 0)
        for name, rows in found.items()
    }


def main() -> None:
    """Prints both for each set, and the means over the sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(SETS))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--insert", default="amplitude")
    given = parser.parse_args()
    over, within, shares = [], [], []
    for name in given.names:
        whole = problem(name, None)
        data = whole._replace(x=whole.x[:ROWS], y=whole.y[:ROWS])
        insert = f"growth.insert={given.insert}"
        first = one_after_the_other([*runs(data, given.seeds, insert, "growth.measure_later_gain=true")])
        second = beside_each_other([*runs(data, given.seeds, insert, "growth.trial_training={candidates: 6}")])
        over.append([np.nan if value is None else value for value in first.values()])
        within.append([value for value, _, _ in second.values()])
        shares.append([share for _, share, _ in second.values()])
        steps = max(count for _, _, count in second.values())
        print(
            f"{name}: {_row(over[-1])}; within {steps} steps {_row(within[-1])}; share {_row(shares[-1])}", flush=True
        )
    print(f"mean ({', '.join(PREDICTIONS)}): {_row(np.nanmean(over, 0))}")
    print(f"within a step: {_row(np.nanmean(within, 0))}; share of the best: {_row(np.nanmean(shares, 0))}")


def _row(values: Sequence[float]) -> str:
    return " ".join(f"{value:.2f}" for value in values)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    main()
