"""The fold point: of the decision boundary, what is nearest to an instance without leaving its linear segment.

After J. Kang's slides (2025), algorithm "Fold Point Search", whose point is the nearest of the whole hyperplane
``w x + b = 0``. Where that lies beyond the segment, on which the network is another map, the slides leave it at the
remark that the constrained problem is the next step; this is it: the nearest point of the hyperplane within the
segment, a polyhedron ``A x + c >= 0`` of one wall per unit. It is a least distance problem, solved exactly by
non-negative least squares (Lawson & Hanson, "Solving Least Squares Problems", 1974, chapter 23).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

_SLACK = 1e-9
"""Of the size of what is added up: by so much a point may lie behind a wall and still count as on it."""


class Within(Enum):
    """Where a fold point is, seen from the segment of its instance."""

    INSIDE = ""
    EDGE = "at the edge of the segment"
    BEYOND = "outside the segment"


@dataclass(frozen=True)
class FoldPoint:
    """A point of the boundary, and where it lies.

    Attributes:
        x: ``[D]``.
        within: `BEYOND` where the boundary does not cross the segment: the nearest point of all is taken then.
    """

    x: Tensor
    within: Within


def closest_point(x: Tensor, normal: Tensor, offset: Tensor | float) -> Tensor:
    """The point of the hyperplane ``normal . p + offset = 0`` that is nearest to ``x``; all ``[D]``."""
    return x - (normal @ x + offset) / (normal @ normal) * normal


def fold_point(x: Tensor, normal: Tensor, offset: Tensor | float, walls: tuple[Tensor, Tensor]) -> FoldPoint:
    """The nearest point of the boundary, within the segment if there is one.

    Args:
        x: ``[D]``, the instance.
        normal: ``[D]``, of the boundary.
        offset: of the boundary.
        walls: ``A [H, D]`` and ``c [H]``: the segment of the instance is where ``A x + c >= 0``.
    """
    nearest = closest_point(x, normal, offset)
    A, c = walls
    A, c = _of_unit_length(A, c)
    if not len(A) or bool((A @ nearest + c >= -_SLACK * _sizes(A, c, nearest)).all()):
        return FoldPoint(nearest, Within.INSIDE)
    step = _least_step(A - torch.outer(A @ normal, normal) / (normal @ normal), -(A @ nearest + c))
    if step is None:
        return FoldPoint(nearest, Within.BEYOND)
    point = nearest + step
    # Rounding: a boundary that runs along a wall, or nearly so, is as good as none within.
    kept = bool((A @ point + c >= -1e-6 * _sizes(A, c, point)).all())
    return FoldPoint(point, Within.EDGE) if kept else FoldPoint(nearest, Within.BEYOND)


def _of_unit_length(A: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The walls with normals of length 1; a unit that no input moves has none."""
    length = A.norm(dim=1)
    there = length > 0
    return A[there] / length[there, None], c[there] / length[there]


def _sizes(A: Tensor, c: Tensor, x: Tensor) -> Tensor:
    return A.abs() @ x.abs() + c.abs()


def _least_step(G: Tensor, h: Tensor) -> Tensor | None:
    """The shortest ``y [D]`` with ``G y >= h``; None if there is none."""
    from scipy.optimize import nnls

    scale = h.abs().max()
    E = torch.cat([G.T, (h / scale)[None]]).cpu()
    f = torch.zeros(len(E), dtype=E.dtype)
    f[-1] = 1.0
    try:
        u, _ = nnls(E.numpy(), f.numpy())
    except RuntimeError:
        return None
    r = (E @ torch.from_numpy(u) - f).to(G.device)
    # The residual is 0 where nothing satisfies all walls.
    return None if not float(-r[-1]) > 1e-12 else -r[:-1] / r[-1] * scale
