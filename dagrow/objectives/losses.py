"""The named losses. A new loss is a function and a line in `LOSSES`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from dagrow.errors import DataError
from dagrow.layout import Shape, TensorLayout
from dagrow.registry import Registry


@dataclass(frozen=True)
class Loss:
    """A loss of a run.

    Attributes:
        name: as in the spec.
        mean: ``(output, target) -> scalar``, the mean over the samples.
        prepare: turns targets as stored into ones of the right dtype and shape for an output of this shape
            (of one sample), or says what is wrong with them. Labels of tokens get a last axis of 1, where the output
            has the classes, so that the two tell by themselves which axis that is.
        correct: ``(output, target) -> [n]``, 1 where a sample is right, 0 where not, of a map the share of
            its pixels; None for regression.
        meaning: what the outputs of a network that was trained on it are, in words.
        decide: ``output -> (label, its probability)``, each ``[n, ...]``; None for regression.
        error: ``(output, target) -> [n, ...]``, by how much a regression is wrong; None for classes.
        constant: ``(targets, shape of one output) -> output``, the one that is best for all samples alike; None where
            nobody says.
        takes: ``labels``, one of several classes per output; ``bits``, yes or no per feature; ``numbers``.
        weighted: ``(output, target, weights) -> scalar``, the mean of the samples' losses, each times the weight of
            its class ``[classes]``; None where there are no classes.
    """

    name: str
    mean: Callable[[Tensor, Tensor], Tensor]
    prepare: Callable[[Tensor, Shape], Tensor]
    correct: Callable[[Tensor, Tensor], Tensor] | None
    meaning: str
    decide: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None
    error: Callable[[Tensor, Tensor], Tensor] | None = None
    constant: Callable[[Tensor, Shape], Tensor] | None = None
    takes: Literal["labels", "bits", "numbers"] = "numbers"
    weighted: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None


def _no_tokens(loss: str, output: Shape) -> None:
    if TensorLayout.of(output).order == "channels_last":
        raise DataError(
            f"{loss} needs an output of shape [features] or [channels, height, width], this one has {list(output)}; "
            "flatten or pool it (only mse and cross_entropy compare tokens)"
        )


def _labels(target: Tensor, output: Shape) -> Tensor:
    layout = TensorLayout.of(output)
    axis = layout.batch_axis
    if target.dim() == len(output) + 1 and target.shape[axis] == 1:
        target = target.squeeze(axis)
    if target.shape[1:] != layout.positions:
        part = "token" if axis > 1 else "pixel"
        found, each = list(target.shape[1:]), f"{part} of {list(layout.positions)}" if layout.positions else "sample"
        raise DataError(f"cross_entropy takes one label per {each}, not targets of shape {found}")
    if target.is_floating_point() and not torch.equal(target, target.round()):
        raise DataError("cross_entropy takes whole-number labels; these have fractions (regression? use mse)")
    labels, features = target.long(), layout.channels
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= features:
        raise DataError(
            f"labels run from {low} to {high}, but the output has {features} features: "
            f"labels must lie in 0..{features - 1}"
        )
    return labels.unsqueeze(-1) if axis > 1 else labels


def _classes_second(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Logits ``[n, classes, ...]`` and labels ``[n, ...]``, as torch takes them; of tokens, see `Loss.prepare`."""
    ours = target.dim() == output.dim() and target.shape[-1] == 1 and not target.is_floating_point()
    return (output.movedim(-1, 1), target.squeeze(-1)) if ours else (output, target)


def _cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    return functional.cross_entropy(*_classes_second(output, target))


def _values(target: Tensor, output: Shape) -> Tensor:
    # One number, or one map, may come without the axis that counts it.
    counted = TensorLayout.of(output).order == "channels_last" or target.dim() != len(output)
    values = target.float() if counted else target.float().unsqueeze(1)
    if values.shape[1:] != output:
        found = list(values.shape[1:])
        raise DataError(f"targets have shape {found} per sample, the output has {list(output)}")
    return values


def _bits(target: Tensor, output: Shape) -> Tensor:
    _no_tokens("binary_cross_entropy", output)
    values = _values(target, output)
    if not bool(((values >= 0) & (values <= 1)).all()):
        found = f"{float(values.min()):g} to {float(values.max()):g}"
        raise DataError(f"binary_cross_entropy takes targets between 0 and 1; these run from {found}")
    return values


def _as_given(target: Tensor, output: Shape) -> Tensor:
    return target.float() if target.is_floating_point() else target


def _not_here(output: Tensor, target: Tensor) -> Tensor:
    raise DataError("the loss 'custom' is given in Python: dagrow.grow(..., loss=FUNCTION)")


def _right_label(output: Tensor, target: Tensor) -> Tensor:
    output, target = _classes_second(output, target)
    return _by_sample(output.argmax(1) == target)


def _right_bits(output: Tensor, target: Tensor) -> Tensor:
    return _by_sample(((output > 0) == (target > 0.5)).all(dim=1))


def _likeliest(output: Tensor) -> tuple[Tensor, Tensor]:
    probability, label = output.softmax(dim=1).max(dim=1)
    return label, probability


def _likelier_bits(output: Tensor) -> tuple[Tensor, Tensor]:
    return (output > 0).long(), output.abs().sigmoid()


def _log_shares(labels: Tensor, output: Shape) -> Tensor:
    # One more of each: a class that has not been seen is rare, not impossible.
    layout = TensorLayout.of(output)
    counts = torch.bincount(labels.flatten(), minlength=layout.channels).double() + 1
    return layout.per_channel((counts / counts.sum()).log()).expand(output)


def _mean(values: Tensor, output: Shape) -> Tensor:
    return values.double().mean(0)


def _log_odds(bits: Tensor, output: Shape) -> Tensor:
    return ((bits.double().sum(0) + 1) / (len(bits) + 2)).logit()


def _weighted_labels(output: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    # Over the number of labels, not their weights: so that means of batches add up.
    output, target = _classes_second(output, target)
    return functional.cross_entropy(output, target, weights.to(output), reduction="sum") / target.numel()


def _weighted_bits(output: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    no, yes = weights.to(output)
    return functional.binary_cross_entropy_with_logits(output, target, no + (yes - no) * target)


def _by_sample(right: Tensor) -> Tensor:
    return right.double().reshape(len(right), -1).mean(1)


LOSSES: Registry[Loss] = Registry(
    "loss",
    {
        loss.name: loss
        for loss in (
            Loss(
                "cross_entropy",
                _cross_entropy,
                _labels,
                _right_label,
                "logits of the classes",
                _likeliest,
                takes="labels",
                weighted=_weighted_labels,
                constant=_log_shares,
            ),
            Loss(
                "mse",
                functional.mse_loss,
                _values,
                None,
                "numbers in the units of the training targets",
                error=torch.sub,
                constant=_mean,
            ),
            Loss(
                "binary_cross_entropy",
                functional.binary_cross_entropy_with_logits,
                _bits,
                _right_bits,
                "logits of label 1 against label 0",
                _likelier_bits,
                takes="bits",
                weighted=_weighted_bits,
                constant=_log_odds,
            ),
            Loss(
                "custom",
                _not_here,
                _as_given,
                None,
                "numbers, as the loss that was given in Python reads them",
            ),
        )
    },
    error=DataError,
)
