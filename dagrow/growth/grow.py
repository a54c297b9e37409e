"""A run from its file to the grown network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch

from dagrow.build.network import derived_seed
from dagrow.callbacks import Callback
from dagrow.distributed import ALONE, Processes
from dagrow.errors import ExportError, RunError, SpecError
from dagrow.graph import Dag, load_run, run_problems
from dagrow.growth.loop import Loop
from dagrow.ops import NORMS
from dagrow.planner import check_growth, find_locations, size_warning
from dagrow.randomness import random_numbers_kept, seed_torch
from dagrow.report import Reporter, Silent
from dagrow.runs.directory import RunDirectory
from dagrow.runs.recorder import RunRecorder
from dagrow.runs.result import GrowthResult
from dagrow.runs.resume import check_same_run, continued, finished
from dagrow.runs.shared_state import hand_over, take_over
from dagrow.spec import RunSpec
from dagrow.training.device import find_device
from dagrow.training.dtype import DTYPES
from dagrow.training.epochs import TrainingError
from dagrow.training.given import NOTHING, Given
from dagrow.training.gradient_rules import GradientRules
from dagrow.training.inputs import load_samples
from dagrow.training.memory_estimate import check_memory, memory_errors
from dagrow.training.replicas import check_exact, check_same
from dagrow.training.sample_sizes import settled, training_batch
from dagrow.training.state import RunContext, RunState
from dagrow.training.targets import TargetUnits, begin_at_priors
from dagrow.training.validation import split_held_out


@memory_errors()
@random_numbers_kept()
def grow(
    run: RunSpec | str | Path,
    *,
    out: str | Path | None = None,
    write: bool = True,
    resume: bool | Literal["if_begun"] = False,
    device: str = "cpu",
    reporter: Reporter | None = None,
    processes: Processes = ALONE,
    given: Given = NOTHING,
) -> GrowthResult:
    """Trains and grows a network as a run file says.

    Args:
        run: the spec, or the path of a run file; with ``resume`` also that of the run directory itself.
        out: the run directory, new or empty; ``runs/NAME`` or the next free name if left out.
        write: with False, nothing is written and no directory is made.
        resume: continues the run in ``out`` that was stopped, on the same machine with as many threads to the same
            bits. If it has ended, its end is returned. ``"if_begun"`` starts the run where none has begun in ``out``,
            for whoever starts the same command again until it is done.
        device: where to train, as torch names it.
        reporter: told what happens; silent if left out.
        processes: that make the run together, see `dagrow.distributed.joined`: all call this alike. The first alone
            writes and reports.
        given: what comes from Python: samples, a loss, metrics, callbacks.

    Returns:
        The grown network, its scores and the journal. The global random numbers of torch, numpy and Python are left
        where they were.

    Raises:
        DagrowError: one of its kinds, for whatever a person can mend; a directory that exists stays whole.
    """
    first = processes.rank == 0
    reporter = reporter if reporter is not None and first else Silent()
    if resume == "if_begun":
        # The first process says so for all: it will make the directory that the others would find.
        resume = bool(processes.numbers(first and RunDirectory.has_begun(_named(out)))[0])
    if resume:
        if not write:
            raise RunError("a run is continued in its directory: 'resume' does not go with write=False")
        file, target = (run, _named(out)) if isinstance(run, RunSpec) else run_to_continue(run, out)
        directory = RunDirectory.begun(target)
        continue_run = _continue if first else _follow
        return continue_run(_loaded(file), directory, device, reporter, processes, given)
    spec = _loaded(run)
    place = find_device(device)
    task = _task(spec, place, processes, given)
    callbacks = given.all_callbacks(spec)
    for note in task.split.notes:
        reporter.say(note)
    state = RunState.fresh(task.spec, place)
    begin_at_priors(spec, state.network, task.split)
    seed_torch(derived_seed(spec.seed, "dropout"))
    if not (write and first):
        return Loop(task, state, RunRecorder(task, None), reporter, callbacks).run()
    # Last of all, so that nothing is left behind where something above is refused.
    directory = RunDirectory.made(out, spec.name)
    with directory.locked():
        directory.begin(spec)
        return _run(task, state, RunRecorder(task, directory), reporter, callbacks)


def _loaded(run: RunSpec | str | Path) -> RunSpec:
    return run if isinstance(run, RunSpec) else load_run(run)


def run_to_continue(run: str | Path, out: str | Path | None) -> tuple[str | Path, str | Path]:
    """The run file and the directory that are meant: a directory stands for itself and the run file in it.

    Raises:
        RunError: if there is no directory, or there are two.
    """
    if not Path(run).is_dir():
        if out is None and not Path(run).exists():
            raise RunError(f"{run} is not there: give the directory of the run, or its run file with --out DIR")
        return run, _named(out)
    if out is not None:
        raise RunError(f"{run} is a run directory itself: leave out --out")
    return RunDirectory.begun(run).run, run


def _named(out: str | Path | None) -> str | Path:
    if out is None:
        raise RunError("say which run to continue: 'dagrow grow DIR --resume', or the run file with --out DIR")
    return out


def _follow(
    spec: RunSpec, directory: RunDirectory, device: str, reporter: Reporter, processes: Processes, given: Given
) -> GrowthResult:
    """As `_continue`, in another process than the first: the state comes from there, and nothing is written."""
    place = find_device(device)
    if processes.numbers(0)[0] and (result := finished(directory, place)) is not None:
        return result
    task = _task(spec, place, processes, given)
    callbacks = given.all_callbacks(spec)
    return Loop(task, take_over(task, place), RunRecorder(task, None), reporter, callbacks).run()


def _continue(
    spec: RunSpec, directory: RunDirectory, device: str, reporter: Reporter, processes: Processes, given: Given
) -> GrowthResult:
    check_same_run(spec, load_run(directory.run), directory)
    place = find_device(device)
    with directory.locked():
        result = finished(directory, place)
        processes.numbers(result is not None)
        if result is not None:
            reporter.say(f"{directory.path}: this run has ended, there is nothing to continue")
            return result
        task = _task(spec, place, processes, given)
        seed_torch(derived_seed(spec.seed, "dropout"))
        state, record = continued(task, directory, place, reporter)
        if processes.count > 1:
            hand_over(task, state)
        return _run(task, state, record, reporter, given.all_callbacks(spec))


def _run(
    task: RunContext, state: RunState, record: RunRecorder, reporter: Reporter, callbacks: Sequence[Callback]
) -> GrowthResult:
    """To the end; an error also says what is kept."""
    if (note := size_warning(state.network.dag)) and task.spec.growth.budget.steps != 0:
        reporter.say(note)
    try:
        with memory_errors():
            record.begin()
            return Loop(task, state, record, reporter, callbacks).run()
    except TrainingError as error:
        raise TrainingError(f"{error}; {record.kept_text('the last good state is that of')}") from error
    except (ExportError, RunError) as error:
        raise RunError(f"{error}; {record.kept_text('with --resume it continues from')}") from error
    except KeyboardInterrupt:
        reporter.say(f"stopped; {record.kept_text('with --resume it continues from')}")
        raise


def _task(spec: RunSpec, device: torch.device, processes: Processes, given: Given) -> RunContext:
    dag, growth = Dag.of(spec.graph), spec.growth
    check_memory(dag, DTYPES[spec.training.dtype], device)
    find_locations(dag, growth.candidates, growth.nodes, growth.new_node)
    if problems := run_problems(spec):
        raise SpecError(problems)
    loss = given.loss_of(spec)
    GradientRules.of(spec.training, processes)
    split, inputs = load_samples(spec, dag, loss, given.raw)
    check_growth(growth, dag, split.train.targets[0])
    spec = settled(spec, len(split.train))
    _check_batches(dag, min(training_batch(spec, dag), len(split.train)))
    check_exact(spec, dag, processes)
    units = TargetUnits.of(spec, dag, split)
    split = split if units is None else units.split(split)
    split, held_out = split_held_out(spec, split.to(device, DTYPES[spec.training.dtype]))
    task = RunContext.of(spec, split, held_out, processes, units, inputs, loss, given.metrics)
    check_same(task)
    return task


def _check_batches(dag: Dag, samples: int) -> None:
    """Batch norm on vectors learns from two samples or more."""
    for name in dag.order:
        norm = dag.node(name).norm
        over_samples = norm != "none" and NORMS[norm].over_samples
        if samples == 1 and over_samples and dag.merged(name).position_count == 1:
            raise TrainingError(f"norm '{norm}' of '{name}' needs batches of at least 2 samples, not 1")
