"""How much each part of the samples weighs in the loss.

A loss is to be a mean over samples: ``sum w_i l_i / sum w_i``. Where all weigh the same, the weight of a part is its
number of samples. Class weights and ignored targets make it another: then the mean of means over batches is not the
mean of the whole, and each batch has to count by its weight.

The weight can be read off any such loss. At the output of one sample, the gradient of the loss of a part is
``w_i / (sum of w)`` times that of the loss of the sample alone; and that of the loss of two samples says how much one
weighs against the other. All weights are in that of one sample of the first batch.

What is no mean (a sum, the root of a mean) shows in the same figures: the shares of two samples do not add up to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from dagrow.errors import DagrowError, GrowthError, is_about_memory
from dagrow.statistics.indexed_batches import LossFunction, joined, rows

TOLERANCE = 1e-2
"""By which shares may miss 1; gradients in float32 are known much better."""
ALIKE = 1e-3
"""Weights that differ by less, relatively, are one."""

Outputs = tuple[Tensor, ...]


class Weighing:
    """Weights of parts of the samples.

    Args:
        loss: ``(output, target) -> scalar``.

    Attributes:
        plain: whether all samples seen so far weigh the same.
    """

    def __init__(self, loss: LossFunction) -> None:
        self.loss, self.plain = loss, True
        self._reference: tuple[Outputs, Any] | None = None
        self._known: dict[object, float] = {}
        self._whole = (0.0, 0)

    def batch(self, number: int, outs: Outputs, target: Any) -> float:
        """The weight of a batch on the first pass, by which it is known whether samples weigh the same.

        Raises:
            GrowthError: if the loss is no mean over samples.
        """
        if number not in self._known:
            size = len(outs[0])
            weight = self._weight(outs, target)
            if weight is None or abs(weight - size) <= ALIKE * size:
                weight = float(size)
            self.plain = self.plain and weight == size
            total, count = self._whole
            self._whole = (total + weight, count + size)
            self._known[number] = weight
        return self._known[number]

    def part(self, key: object, outs: Outputs, target: Any) -> float:
        """The weight of some samples, once all batches have been seen.

        Args:
            key: that no other samples have.
            outs: what the network makes of them as it is.
            target: theirs.
        """
        if self.plain or not len(outs[0]):
            return float(len(outs[0]))
        if key not in self._known:
            self._known[key] = self.fresh(outs, target)
        return self._known[key]

    def fresh(self, outs: Outputs, target: Any) -> float:
        """The same of samples that are asked for once."""
        weight, (total, count) = float(len(outs[0])) if self.plain else self._weight(outs, target), self._whole
        return len(outs[0]) * total / max(1, count) if weight is None else weight

    def _weight(self, outs: Outputs, target: Any) -> float | None:
        """The weight of a part; None where no gradient tells."""
        loss, sizes = self._gradients(outs, target)
        if not bool(torch.isfinite(loss)):
            return 0.0 if self._weighs_nothing(outs, target) else None
        order = sizes.argsort(descending=True).tolist()
        size = float(sizes[order[0]])
        if not size > 0:
            return None
        one = _some(outs, target, order[:1])
        if self._reference is None:
            self._reference = one
            # Two that are not alike show more than one beside itself.
            self._shares(one, _some(outs, target, [order[len(order) // 2]]))
        alone = float(self._gradients(*one)[1][0])
        share, other = self._shares(one, self._reference)
        return share / other * alone / size if share > 0 and other > 0 else None

    def _weighs_nothing(self, outs: Outputs, target: Any) -> bool:
        """Whether the loss of a part is no number because it is the mean of none: beside another sample it is one."""
        if self._reference is None:
            return False
        beside, wanted = self._reference
        both = tuple(torch.cat(pair) for pair in zip(outs, beside, strict=True))
        loss, _ = self._gradients(both, joined([target, wanted]))
        return bool(torch.isfinite(loss))

    def _shares(self, one: tuple[Outputs, Any], other: tuple[Outputs, Any]) -> tuple[float, float]:
        """What part of its own gradient each of two samples has in the loss of both; 0 where none tells."""
        outs = tuple(torch.cat(pair) for pair in zip(one[0], other[0], strict=True))
        _, both = self._gradients(outs, joined([one[1], other[1]]))
        alone = [float(self._gradients(*each)[1][0]) for each in (one, other)]
        if not min(alone) > 0:
            return 0.0, 0.0
        first, second = (float(length) / own for length, own in zip(both, alone, strict=True))
        if not abs(first + second - 1) <= TOLERANCE:
            raise GrowthError(
                "the loss must be the mean over the samples of a batch: the shares that two samples have in it add up "
                f"to {first + second:.3g}, not to 1 (a sum, or the root of a mean? give reduction='mean')"
            )
        return first, second

    def _gradients(self, outs: Outputs, target: Any) -> tuple[Tensor, Tensor]:
        """The loss, and ``[n]`` the lengths of its gradient at the outputs of each sample."""
        with torch.enable_grad():
            own = tuple(out.detach().requires_grad_() for out in outs)
            loss = self.loss(own[0] if len(own) == 1 else own, target)
            found = torch.autograd.grad(loss, own, allow_unused=True)
        squares = [g.detach().double().flatten(1).square().sum(1) for g in found if g is not None]
        return loss.detach(), sum(squares[1:], start=squares[0]).sqrt()


def _some(outs: Outputs, target: Any, index: Sequence[int]) -> tuple[Outputs, Any]:
    chosen = torch.tensor(index, device=outs[0].device)
    return tuple(out.detach()[chosen] for out in outs), rows(target, chosen)


class CheckedLoss:
    """A loss that is one number from which gradients flow, or one sentence that says why not.

    Args:
        loss: of the caller.
    """

    def __init__(self, loss: LossFunction) -> None:
        self._loss = loss

    def __call__(self, output: Any, target: Any) -> Tensor:
        """The loss of a batch.

        Raises:
            GrowthError: if it cannot be had, or is no such number.
        """
        outs = output if isinstance(output, tuple) else (output,)
        shapes = ", ".join(str(list(out.shape)) for out in outs)
        value = called(lambda: self._loss(output, target), f"the loss cannot be had for outputs of shape {shapes}")
        if not isinstance(value, Tensor):
            raise GrowthError(f"the loss must be a tensor, from which gradients flow, not a {type(value).__name__}")
        if value.dim() != 0:
            raise GrowthError(f"the loss must be one number per batch, its mean; it has shape {list(value.shape)}")
        if torch.is_grad_enabled() and any(out.requires_grad for out in outs) and not value.requires_grad:
            raise GrowthError("the loss does not hang on the outputs of the network, or is detached: no gradient flows")
        return value


def called(call: Callable[[], Any], what: str, kind: type[DagrowError] = GrowthError) -> Any:
    """What a call gives; an error in torch or in a person's code becomes one sentence, unless it is about memory."""
    try:
        return call()
    except (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError) as error:
        if is_about_memory(error):
            raise
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise kind(f"{what}: {said[0].rstrip('.')}") from error
