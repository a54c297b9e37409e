"""Where the search for fan-ins starts: closed forms for linear and quadratic neurons, and random directions.

Both closed forms need the desired update at the pre-activations of the new neurons: ``g = omega . v_proj`` for a
main direction omega of v_proj and one of the fan_out features, carried back through read and pool by autograd.
Linear: ``E[E^T g]``. Quadratic (thesis C.6.1): eigenvectors of ``E[E^T diag(g) E]`` with the largest |eigenvalue|.

Random numbers are drawn for one draw of v_proj after the other; all else is done for all of them at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from dagrow.flop_counter import product
from dagrow.methods.fan_in import FanIn
from dagrow.methods.residual_fit import ResidualFit

MAIN = 2
"""Main directions omega of v_proj per child that closed forms are made for."""
FORMS = 12
"""Closed forms at most: of more (main directions x fan_out of all children) a random choice."""
ITERATIONS = 4
"""Power iterations: a start need not be an exact eigenvector."""
ROUNDING = 64
"""Resolutions of the number format that a squared singular value must exceed, relative to the largest."""
SHIFTS = (0.0, -1.0, 1.0)
"""Biases of the closed forms, in root mean squares of their pre-activation."""
SCALES = (0.7, 2.5)
"""Root mean squares of the closed forms' pre-activations, where the activation is not homogeneous."""
RANDOM = 40
"""Random neurons: direction, bias and scale."""
AT_ONCE = 2 * FORMS
"""Neurons per draw of v_proj whose columns are made together, at most."""


class _Form(NamedTuple):
    """A closed form: a main direction of one child's v_proj, by one of the fan_out features there."""

    target: int
    direction: int
    feature: int


@dataclass(frozen=True)
class _Lots:
    """Random numbers for one draw of v_proj, in the order in which they are drawn; Gaussian but for the indices.

    Attributes:
        goals: ``[M, 1 to MAIN]`` for each child, where the main directions of its v_proj are searched from.
        forms: ``[forms]``, which closed forms are made.
        places: ``[rank, forms]``, where they are carried back.
        quadratic: ``[rank, 1 or 2 forms]``, where the quadratic ones are searched from.
        directions: ``[rank, RANDOM]``, of random neurons.
        shifts: ``[RANDOM]``, their biases.
        scales: ``[RANDOM]``, logarithms of their scales; None where the activation is homogeneous.
        chosen: which of all starts are kept.
    """

    goals: tuple[Tensor, ...]
    forms: Tensor
    places: Tensor
    quadratic: Tensor
    directions: Tensor
    shifts: Tensor
    scales: Tensor | None
    chosen: Tensor


def starts(fan_in: FanIn, removal: ResidualFit, homogeneous: bool, generator: torch.Generator, most: int) -> Tensor:
    """Weights ``[rank, draws, starts]``.

    Args:
        fan_in: coordinates.
        removal: of some draws.
        homogeneous: whether the activation makes scales redundant.
        generator: on the CPU.
        most: starts of each draw; of more a random choice.
    """
    forms = _forms(fan_in, removal)
    shifts = SHIFTS if fan_in.constant is not None else (0.0,)
    scales = None if homogeneous else SCALES
    each = 2 * len(shifts) * len(scales or (1.0,))
    rank = fan_in.rank
    lots = [_lots(removal, rank, len(forms), scales is not None, each, generator, most) for _ in range(removal.draws)]
    U = fan_in.directions(torch.cat(closed_forms(fan_in, removal, forms, lots), 2))
    U = torch.cat([U, -U], 2)
    made = [scale * fan_in.shifted(U, torch.full_like(U[0], shift)) for scale in scales or (1.0,) for shift in shifts]
    W = fan_in.directions(torch.stack([lot.directions for lot in lots], 1).to(U))
    W = fan_in.shifted(W, torch.stack([lot.shifts for lot in lots]).to(U))
    if scales is not None:
        W = W * torch.stack([lot.scales for lot in lots if lot.scales is not None]).to(U).exp()
    chosen = torch.stack([lot.chosen for lot in lots]).to(W.device)
    return torch.cat([*made, W], 2).gather(2, chosen.expand(len(W), -1, -1))


def _lots(
    removal: ResidualFit, rank: int, forms: int, scaled: bool, each: int, generator: torch.Generator, most: int
) -> _Lots:
    """Those of the next draw; ``each`` is how many starts a direction of a closed form gives."""
    goals = tuple(gaussian(t.v.shape[2], min(MAIN, *t.v.shape[1:]), generator) for t in removal.targets)
    some = torch.randperm(forms, generator=generator)[:FORMS].sort().values
    places = gaussian(rank, len(some), generator)
    quadratic = gaussian(rank, len(some) * min(2, rank), generator)
    directions, shifts = gaussian(rank, RANDOM, generator), gaussian(1, RANDOM, generator)[0]
    scales = gaussian(1, RANDOM, generator)[0] if scaled else None
    count = each * (len(some) + quadratic.shape[1]) + RANDOM
    chosen = torch.randperm(count, generator=generator)[:most].sort().values
    return _Lots(goals, some, places, quadratic, directions, shifts, scales, chosen)


def closed_forms(
    fan_in: FanIn, removal: ResidualFit, forms: Sequence[_Form], lots: Sequence[_Lots]
) -> tuple[Tensor, Tensor]:
    """Directions for each draw: the linear ones, ``[rank, draws, forms]``, and two quadratic ones of each form."""
    E, rank, pair = fan_in.E.flatten(0, 1), fan_in.rank, min(2, fan_in.rank)
    g = _carried_back(fan_in, removal, forms, lots)
    U = torch.cat([lot.quadratic for lot in lots], 1).to(E)
    for _ in range(ITERATIONS):
        U = product(E.T, (product(E, U).view(len(E), -1, pair) * g.unsqueeze(2)).flatten(1))
        U = torch.linalg.qr(U.view(rank, -1, pair).transpose(0, 1))[0].transpose(0, 1).flatten(1)
    return (E.T @ g).view(rank, len(lots), -1), U.view(rank, len(lots), -1)


def _forms(fan_in: FanIn, removal: ResidualFit) -> list[_Form]:
    """All that could be made."""
    outputs = removal.samples.activate(fan_in.E[..., :1])
    return [
        _Form(index, direction, feature)
        for index, target in enumerate(removal.targets)
        for direction in range(min(MAIN, *target.v.shape[1:]))
        for feature in range(target.columns(outputs).shape[2])
    ]


def _carried_back(fan_in: FanIn, removal: ResidualFit, forms: Sequence[_Form], lots: Sequence[_Lots]) -> Tensor:
    """The g of each draw's forms, ``[n P, draws forms]``: gradients at a random pre-activation and at its negative.

    The two together reach what a kinked activation would hide on either side: for a relu they add up to the identity.
    """
    z = product(fan_in.E, fan_in.directions(torch.cat([lot.places for lot in lots], 1).to(fan_in.E)))
    made = [(draw, forms[i]) for draw, lot in enumerate(lots) for i in lot.forms.tolist()]
    with torch.enable_grad():
        Z = torch.cat([z, -z], 2).requires_grad_()
        outputs, reached = removal.samples.activate(Z), 0 * Z.sum()
        for index, target in enumerate(removal.targets):
            columns = target.columns(outputs)
            own = [(k, form.feature, draw, form.direction) for k, (draw, form) in enumerate(made) if form[0] == index]
            if not own:
                continue
            k, feature, draw, direction = torch.tensor(own, device=z.device).T
            omega = main_directions(target.v, torch.stack([lot.goals[index] for lot in lots]).to(z))
            goals = (target.v @ omega)[draw, :, direction]
            reached = reached + (goals.T * (columns[:, k, feature] + columns[:, k + len(made), feature])).sum()
        (g,) = torch.autograd.grad(reached, Z)
    one, other = g.flatten(0, 1).chunk(2, dim=1)
    both = one + other
    length: Tensor = both.norm(dim=0)
    return both / length.clamp(min=torch.finfo(both.dtype).tiny)


def main_directions(v: Tensor, omega: Tensor) -> Tensor:
    """The first right singular vectors of each v ``[draws, rows, M]``, roughly, from any: ``[draws, M, count]``.

    0 in place of those beyond the rank of v, in which there is nothing but rounding: the desired updates of classes,
    for one, sum to 0.
    """
    omega, triangle = torch.linalg.qr(product(v.transpose(1, 2), product(v, omega)))
    for _ in range(ITERATIONS - 1):
        omega, triangle = torch.linalg.qr(product(v.transpose(1, 2), product(v, omega)))
    squares = triangle.diagonal(dim1=1, dim2=2).abs()
    sound = squares > ROUNDING * torch.finfo(v.dtype).eps * squares.amax(1, keepdim=True)
    kept: Tensor = omega * sound.unsqueeze(1)
    return kept


def gaussian(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """Random numbers, the same on every device and in every dtype."""
    return torch.randn(rows, columns, generator=generator, dtype=torch.float64)
