"""Batched L-BFGS: one independent maximisation per column.

The two-loop recursion of Nocedal & Wright, Algorithm 7.4, with inner products per column. There is no line search:
a step that does not climb is taken back and tried shorter, by that column alone, so that all columns share every
evaluation.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor

from dagrow.flop_counter import counted, spend

MEMORY = 6
"""Pairs of step and change of slope that are remembered."""
LONGEST = 0.6
"""Step, relative to the column's length."""
FIRST = 0.3
"""The same before anything is known of the curvature."""
SHORTER = 0.35
"""What is left of a step that did not climb."""


def ascend(height: Callable[[Tensor], Tensor], W: Tensor, steps: int) -> Tensor:
    """Columns higher up than those of W, or as high.

    Args:
        height: ``[rank, K]`` to ``[K]``, each from its own column; differentiable.
        W: ``[rank, K]``, where to start.
        steps: evaluations of height and its slope, one more than this.
    """
    f, slope = _climb(height, W)
    pairs: deque[tuple[Tensor, Tensor, Tensor]] = deque(maxlen=MEMORY)
    curvature = torch.zeros_like(f)  # 0 as long as it is unknown
    patience = torch.ones_like(f)
    for _ in range(steps):
        direction = _newton(slope, pairs, curvature)
        direction = torch.where((direction * slope).sum(0) > 0, direction, slope)
        length, size = direction.norm(dim=0), W.norm(dim=0)
        wanted = torch.where(curvature > 0, torch.minimum(length, LONGEST * size), FIRST * size)
        step = direction * (patience * wanted / length.clamp(min=torch.finfo(f.dtype).tiny))
        f_new, slope_new = _climb(height, W + step)
        change = slope - slope_new
        product, square = (step * change).sum(0), change.square().sum(0)
        known = product > 1e-8 * step.norm(dim=0) * square.sqrt()
        pairs.append((step, change, torch.where(known, 1 / torch.where(known, product, 1.0), 0.0)))
        curvature = torch.where(known, product / torch.where(known, square, 1.0), curvature)
        higher = f_new > f
        W, slope = torch.where(higher, W + step, W), torch.where(higher, slope_new, slope)
        f, patience = torch.where(higher, f_new, f), torch.where(higher, 1.0, SHORTER * patience)
    return W


def _climb(height: Callable[[Tensor], Tensor], W: Tensor) -> tuple[Tensor, Tensor]:
    """Height and slope of each column; a slope that is no number is 0."""
    with torch.enable_grad():
        W = W.detach().requires_grad_()
        with counted() as work:
            f = height(W)
        spend(work.multiply_adds)  # back to the one factor of each product that depends on W
        # A constant height has no graph.
        slope = torch.autograd.grad(f, W, torch.ones_like(f))[0] if f.requires_grad else torch.zeros_like(W)
    return f.detach().nan_to_num(-torch.inf), slope.nan_to_num(0.0, 0.0, 0.0)


def _newton(slope: Tensor, pairs: deque[tuple[Tensor, Tensor, Tensor]], curvature: Tensor) -> Tensor:
    """The inverse Hessian, as far as it is known, times the slope."""
    direction, parts = slope, []
    for step, change, weight in reversed(pairs):
        part = weight * (step * direction).sum(0)
        direction = direction - part * change
        parts.append(part)
    direction = direction * torch.where(curvature > 0, curvature, 1.0)
    for (step, change, weight), part in zip(pairs, reversed(parts), strict=True):
        direction = direction + (part - weight * (change * direction).sum(0)) * step
    return direction
