"""Kills a digits run at random moments with SIGKILL and continues it: is the end the same to the last bit?

One run goes from start to end undisturbed. Another is killed again and again, at moments drawn over its whole
length, and continued. After each kill its directory is copied, and the copy is continued to its end: graph, weights,
export and journal (seconds aside) must be those of the undisturbed run. At last the killed run itself must be, too.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

import dagrow
from dagrow.journal import read_journal

DIGITS = Path(__file__).resolve().parents[1] / "specs" / "digits.yaml"
PARTS = ("graph", "weights", "exported", "journal")

# A server imports everything once and forks a process per run: a start takes no seconds then.
PROCESSES = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Kill:
    """One kill and what came of it.

    Attributes:
        after: seconds from the start of the process.
        where: epochs and growth steps on record then.
        during: what went on.
        same: which parts of the end are those of the undisturbed run.
    """

    after: float
    where: str
    during: str
    same: dict[str, bool]


def grow_here(run: Path, settings: Sequence[str], out: Path, resume: bool) -> None:
    """What a process does."""
    torch.set_num_threads(1)
    dagrow.grow(dagrow.load_run(run, settings), out=out, resume=resume)


class Runs:
    """Processes of one run file, in one folder.

    Args:
        run: the run file.
        settings: on top of it.
        folder: for all run directories.
    """

    def __init__(self, run: Path, settings: Sequence[str], folder: Path) -> None:
        self.run, self.settings, self.folder = run, tuple(settings), folder
        PROCESSES.set_forkserver_preload(["dagrow.training", "sklearn.datasets", "torch._dynamo"])

    def to_the_end(self, out: Path) -> float:
        """Runs, or continues, to the end; the seconds that it took."""
        started = time.perf_counter()
        process = self._start(out)
        process.join()
        if process.exitcode != 0:
            raise SystemExit(f"{out}: ended with exit code {process.exitcode}")
        return time.perf_counter() - started

    def killed(self, out: Path, after: float) -> bool:
        """Runs, or continues, and kills; False if it had ended by then."""
        process = self._start(out)
        process.join(after)
        process.kill()
        process.join()
        if process.exitcode not in (0, -9):
            raise SystemExit(f"{out}: ended with exit code {process.exitcode}")
        return process.exitcode != 0

    def _start(self, out: Path) -> multiprocessing.process.BaseProcess:
        resume = (out / "run.yaml").is_file()
        if not resume:
            shutil.rmtree(out, ignore_errors=True)
        process = PROCESSES.Process(target=grow_here, args=(self.run, self.settings, out, resume))
        process.start()
        return process


def end_of(directory: Path) -> dict[str, object]:
    """What must be the same, to the last bit."""
    events = [{k: v for k, v in e.items() if k != "seconds"} for e in read_journal(directory / "journal.jsonl")]
    return {
        "graph": (directory / "graph.yaml").read_bytes(),
        "weights": (directory / "weights.safetensors").read_bytes(),
        "exported": [file.read_bytes() for file in sorted((directory / "exported").iterdir())],
        "journal": json.dumps(events),
    }


def same(directory: Path, whole: Path) -> dict[str, bool]:
    """Part by part, whether two ends are the same."""
    here, there = end_of(directory), end_of(whole)
    return {part: here[part] == there[part] for part in PARTS}


def found_at(directory: Path, between: int) -> tuple[str, str]:
    """How far a killed run was, and what it was doing, as its files tell.

    Args:
        directory: of the run.
        between: passes between growth steps.
    """
    if not (directory / "journal.jsonl").is_file():
        return "-", "start"
    text = (directory / "journal.jsonl").read_text()
    events = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
    epochs = sum(event["event"] == "epoch" for event in events)
    steps = sum(event["event"] == "growth" for event in events)
    where = f"epoch {epochs}, step {steps}"
    if any(directory.glob("checkpoints/.*.part")) or any(directory.glob(".*.part")):
        return where, "writing"
    since = 0
    for event in events:
        since = 0 if event["event"] == "growth" else since + (event["event"] == "epoch")
    growing = steps < dagrow.load_run(directory / "run.yaml").growth.budget.steps
    return where, "growth step" if growing and since == between else "training"


def kills(runs: Runs, whole: Path, seconds: float, count: int, seed: int) -> Iterator[Kill]:
    """Kills and continues one run again and again, and the next one where it came to its end."""
    draw = random.Random(seed)
    between = dagrow.load_run(runs.run, runs.settings).training.epochs_between_growth
    chain, copy, done = runs.folder / "chain", runs.folder / "copy", 0
    while done < count:
        # On average the last of them falls on the end of the run.
        after = draw.expovariate(1.0) * seconds / count + draw.random() * min(1.0, seconds / 10)
        if not runs.killed(chain, after):
            _check_end(chain, whole)
            continue
        where, during = found_at(chain, between)
        if chain.exists():
            shutil.copytree(chain, copy)
        runs.to_the_end(copy)
        yield Kill(after, where, during, same(copy, whole))
        shutil.rmtree(copy)
        done += 1
    runs.to_the_end(chain)
    _check_end(chain, whole)


def _check_end(chain: Path, whole: Path) -> None:
    wrong = [part for part, equal in same(chain, whole).items() if not equal]
    if wrong:
        raise SystemExit(f"the run that was killed again and again ended with another {', '.join(wrong)}")
    shutil.rmtree(chain)


def main() -> None:
    """Prints a line per kill, and how many ends were the same."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--run", type=Path, default=DIGITS)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="on top of the run file")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--folder", type=Path, help="where to run; a temporary folder if left out")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        runs, whole = Runs(given.run, given.set, Path(name)), Path(name) / "whole"
        runs.to_the_end(whole)  # the first one also starts the server
        shutil.rmtree(whole)
        seconds = runs.to_the_end(whole)
        events = Counter(event["event"] for event in read_journal(whole / "journal.jsonl"))
        print(f"undisturbed: {seconds:.1f} s, {events['epoch']} epochs, {events['growth']} growth steps", flush=True)
        found = []
        for kill in kills(runs, whole, seconds, given.kills, given.seed):
            found.append(kill)
            equal = "same" if all(kill.same.values()) else f"OTHER {[p for p in PARTS if not kill.same[p]]}"
            line = f"{len(found):3}  after {kill.after:5.2f} s  {kill.where:22} {kill.during:12} {equal}"
            print(line, flush=True)
    _summary(found)
    if not all(all(kill.same.values()) for kill in found):
        raise SystemExit(1)


def _summary(found: Sequence[Kill]) -> None:
    table = Table("killed during", "kills", *(f"same {part}" for part in PARTS))
    for during in (*dict.fromkeys(kill.during for kill in found), "all"):
        those = [kill for kill in found if during in (kill.during, "all")]
        table.add_row(during, str(len(those)), *(str(sum(kill.same[part] for kill in those)) for part in PARTS))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
