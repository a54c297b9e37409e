"""Metrics that a user gives in Python, beside the scores that every run has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from dagrow.build import Network
from dagrow.data import Samples
from dagrow.errors import DagrowError
from dagrow.training.gradient_rules import forward
from dagrow.training.targets import TargetUnits

Metric = Callable[[Any, Any], Any]
Given = Mapping[str, Metric] | Sequence[Metric] | Metric | None


class Metrics:
    """Functions of all outputs and targets of a set of samples.

    A metric is a callable ``(output, target) -> number`` on all samples at once; outputs are those of the network
    (logits of classes), as tuples where the graph has several. An object with ``update``, ``compute`` and ``reset``
    (torchmetrics) is given one batch after the other instead.

    Args:
        given: by name; or a list, or one, that have a name of their own.

    Raises:
        DagrowError: if one of them cannot be called, or two have one name.
    """

    def __init__(self, given: Given = None) -> None:
        self._metrics = _named(given)

    def __bool__(self) -> bool:
        return bool(self._metrics)

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in the order given."""
        return tuple(self._metrics)

    @torch.no_grad()
    def measure(
        self, network: Network, samples: Samples, batch_size: int, units: TargetUnits | None = None
    ) -> dict[str, float]:
        """The values on some samples, in eval mode; the network's mode is left as it was.

        Args:
            network: to judge.
            samples: all of them count.
            batch_size: samples at a time.
            units: of outputs and targets, where they are others than the user's.

        Raises:
            DagrowError: if a metric fails, or gives no number.
        """
        streams = {name: metric for name, metric in self._metrics.items() if _streams(metric)}
        whole = {name: metric for name, metric in self._metrics.items() if name not in streams}
        kept: list[tuple[Any, Any]] = []
        mode = network.training
        network.eval()
        for metric in streams.values():
            _moved(metric, samples).reset()
        for x, y in samples.batches(batch_size):
            output: Any = forward(network, x)
            target: Any = y
            if units is not None:
                # Only a graph with one output has units of its own.
                output, target = units.in_user_units(output), units.in_user_units(target)
            for name, metric in streams.items():
                _called(name, metric.update, output, target)  # type: ignore[attr-defined]
            if whole:
                kept.append((output, target))
        network.train(mode)
        if kept:
            outputs, targets = (_joined([pair[place] for pair in kept]) for place in (0, 1))
            found = {name: _number(name, _called(name, metric, outputs, targets)) for name, metric in whole.items()}
        else:
            found = {}
        found |= {name: _number(name, _called(name, metric.compute)) for name, metric in streams.items()}  # type: ignore[attr-defined]
        return {name: found[name] for name in self._metrics}


def _named(given: Given) -> dict[str, Metric]:
    if given is None:
        return {}
    if isinstance(given, Mapping):
        found = {str(name): metric for name, metric in given.items()}
    else:
        several = given if isinstance(given, Sequence) else [given]
        found = {}
        for metric in several:
            name = getattr(metric, "__name__", type(metric).__name__)
            if name in found:
                raise DagrowError(f"two metrics are called '{name}': give a mapping of names to metrics")
            found[name] = metric
    for name, metric in found.items():
        if not callable(metric):
            raise DagrowError(f"the metric '{name}' is a {type(metric).__name__}, which cannot be called")
    return found


def _streams(metric: Metric) -> bool:
    return all(callable(getattr(metric, name, None)) for name in ("update", "compute", "reset"))


def _moved(metric: Any, samples: Samples) -> Any:
    """The metric where the samples are."""
    return metric.to(samples.inputs[0].device) if callable(getattr(metric, "to", None)) else metric


def _called(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except Exception as error:
        raise DagrowError(f"the metric '{name}' failed ({type(error).__name__}: {error})") from error


def _number(name: str, value: Any) -> float:
    if isinstance(value, Tensor) and value.numel() != 1:
        raise DagrowError(f"the metric '{name}' must give one number, not a tensor of shape {list(value.shape)}")
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise DagrowError(f"the metric '{name}' must give one number, not a {type(value).__name__}") from error


def _joined(parts: list[Any]) -> Any:
    if isinstance(parts[0], Tensor):
        return torch.cat(parts)
    return tuple(torch.cat(part) for part in zip(*parts, strict=True))


NO_METRICS = Metrics()
"""None."""
