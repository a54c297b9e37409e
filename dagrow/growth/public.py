"""``dagrow.grow``: a run from its file, or from a graph and samples that a user has in Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from dagrow.callbacks import Callback, checked_callbacks
from dagrow.data.from_python import SampleSettings, raw_samples
from dagrow.data.in_memory import InMemory
from dagrow.data.raw import Raw
from dagrow.distributed import ALONE, Processes
from dagrow.errors import DataError, RunError
from dagrow.graph import Dag, checked_run
from dagrow.growth.grow import grow as grow_run
from dagrow.growth.grow import run_to_continue
from dagrow.objectives import LOSSES
from dagrow.report import Reporter
from dagrow.runs.result import GrowthResult
from dagrow.spec import DataSpec, Document, GraphSpec, RunSpec, SourceFile, plain_graph
from dagrow.spec.column_options import ColumnOptions
from dagrow.spec.loaders import read_file, run_of, validated
from dagrow.training.given import Given, PythonLoss, loss_name
from dagrow.training.metrics import Given as GivenMetrics
from dagrow.training.metrics import Metrics

AnyRun = RunSpec | GraphSpec | Mapping[str, Any] | str | Path


def grow(
    run: AnyRun,
    *,
    train: Any = None,
    validation: Any = None,
    test: Any = None,
    loss: str | PythonLoss | None = None,
    metrics: GivenMetrics = None,
    callbacks: Sequence[Callback] | Callback = (),
    training: Mapping[str, Any] | None = None,
    growth: Mapping[str, Any] | None = None,
    seed: int | None = None,
    out: str | Path | None = None,
    write: bool = True,
    resume: bool | Literal["if_begun"] = False,
    device: str = "cpu",
    reporter: Reporter | None = None,
    processes: Processes = ALONE,
) -> GrowthResult:
    """Trains and grows a network, as a run file says or on samples that are given here.

    Samples are ``(x, y)`` with arrays, tensors or tables (a tuple or a mapping by name for several inputs or outputs),
    a torch ``Dataset`` of such pairs, a ``DataLoader``, or a list of batches. They are read once and kept in memory.

    Args:
        run: a run file or graph file, its spec, or the same as a mapping.
        train: samples to learn from; left out, the ``data`` section of the run says where they come from.
        validation: samples to judge by while training, on which nothing is trained; left out,
            ``training.validation_fraction`` keeps a share of ``train`` back.
        test: samples that the scores at the end are measured on; left out, the validation samples, and without those
            a share of ``train`` (``data.test_fraction``).
        loss: the name of one, or ``(output, target) -> scalar``, the mean over samples. With a function,
            ``training={"loss": NAME}`` says whose targets and answers it has (``cross_entropy`` for classes); it gets
            targets as they are given otherwise. Several outputs have it called for each, and added up.
        metrics: functions ``(output, target) -> number`` on all samples, or torchmetrics objects: by name, or a list.
        callbacks: objects of subclasses of `dagrow.Callback`.
        training: entries of the ``training`` section, over those of ``run``.
        growth: entries of the ``growth`` section, likewise.
        seed: likewise.
        out: the run directory, new or empty; ``runs/NAME`` or the next free name if left out.
        write: with False, nothing is written and no directory is made.
        resume: continues the run in ``out`` that was stopped, on the same machine with as many threads to the same
            bits. If it has ended, its end is returned. Samples, loss, metrics and callbacks have to be given again.
            ``"if_begun"`` starts the run where none has begun in ``out``.
        device: where to train, as torch names it.
        reporter: told what happens; silent if left out.
        processes: that make the run together, see `dagrow.distributed.joined`: all call this alike. The first alone
            writes, reports and calls callbacks.

    Returns:
        The grown network, its scores and the journal. The global random numbers of torch, numpy and Python are left
        where they were.

    Raises:
        DagrowError: one of its kinds, for whatever a person can mend; a directory that exists stays whole.
    """
    _check_given(train, validation, test)
    if resume is True and not isinstance(run, (RunSpec, GraphSpec, Mapping)):
        run, out = run_to_continue(run, out)
    spec = _spec(run, _sections(training, growth, seed, loss))
    function = None if loss is None or isinstance(loss, str) else loss
    spec, raw = _with_samples(_with_loss(spec, function), train, validation, test)
    given = Given(raw, function, Metrics(metrics), checked_callbacks(callbacks))
    return grow_run(
        spec,
        out=out,
        write=write,
        resume=resume,
        device=device,
        reporter=reporter,
        processes=processes,
        given=given,
    )


def _check_given(train: Any, validation: Any, test: Any) -> None:
    if train is None and (validation is not None or test is not None):
        name = "validation" if validation is not None else "test"
        raise DataError(f"'{name}' goes with 'train': give the samples to learn from too")


def _sections(
    training: Mapping[str, Any] | None, growth: Mapping[str, Any] | None, seed: int | None, loss: Any
) -> dict[str, Any]:
    named = {"loss": loss} if isinstance(loss, str) else {}
    found: dict[str, Any] = {"training": {**(training or {}), **named}, "growth": dict(growth or {})}
    return {name: section for name, section in found.items() if section} | ({} if seed is None else {"seed": seed})


def _spec(run: Any, sections: Mapping[str, Any]) -> RunSpec:
    """The run, with entries of sections over its own.

    Raises:
        SpecError: with all problems of both.
        RunError: if it is no run at all.
    """
    if isinstance(run, RunSpec):
        if not sections:
            return run
        data = run.model_dump(mode="json") | {"graph": plain_graph(run.graph)}
    elif isinstance(run, GraphSpec):
        data = {"graph": plain_graph(run)}
    elif isinstance(run, Mapping):
        data = dict(run) if "graph" in run else {"graph": dict(run)}
    elif isinstance(run, (str, Path)):
        document = read_file(run)
        return checked_run(*run_of(_over(document, sections), run))
    elif isinstance(run, torch.nn.Module):
        raise RunError(
            "a run starts from a graph, with weights drawn by 'seed': give model.spec, or grow the model in a training "
            "loop of your own with dagrow.propose and dagrow.apply"
        )
    else:
        raise RunError(f"a run is a file, a spec or a mapping, not {type(run).__name__}")
    source = SourceFile("run", {})
    return checked_run(validated(RunSpec, _over(Document(data, {}), sections), source), source)


def _over(document: Document, sections: Mapping[str, Any]) -> Document:
    for name, section in sections.items():
        own = document.data.get(name)
        merged = {**own, **section} if isinstance(own, Mapping) and isinstance(section, Mapping) else section
        document.data[name] = merged
    return document


def _with_samples(spec: RunSpec, train: Any, validation: Any, test: Any) -> tuple[RunSpec, Raw | None]:
    """The run with its samples, and a ``data`` section that says they were given here."""
    if train is None:
        return spec, None
    columns = spec.data.source.columns if isinstance(spec.data.source, InMemory) else ColumnOptions()
    settings = SampleSettings(LOSSES[spec.training.loss], spec.data.test_fraction, spec.seed, columns)
    raw = raw_samples(Dag.of(spec.graph), settings, train, validation, test)
    source = InMemory(given=True, columns=columns)
    data = DataSpec(source=source, test_fraction=spec.data.test_fraction, standardize=spec.data.standardize)
    changed: dict[str, Any] = {"data": data}
    if raw.validation is not None and spec.training.validation_fraction is None and spec.training.anneal is None:
        # So that the run ends with the network that was best on them.
        held, kept = len(raw.validation.inputs[0]), len(raw.train.inputs[0])
        changed["training"] = spec.training.model_copy(update={"validation_fraction": held / max(1, held + kept)})
    return spec.model_copy(update=changed), raw


def _with_loss(spec: RunSpec, loss: PythonLoss | None) -> RunSpec:
    """The run with the name of a loss that was given here."""
    if loss is None:
        return spec
    if not callable(loss):
        raise RunError(f"a loss is a name or a function, not {type(loss).__name__}")
    named = spec.training.loss if "loss" in spec.training.model_fields_set else "custom"
    update = {"loss": named, "custom_loss": loss_name(loss)}
    return spec.model_copy(update={"training": spec.training.model_copy(update=update)})
