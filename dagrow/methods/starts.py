"""Where the search for fan-ins starts: closed forms for linear and quadratic neurons, and random directions.

Both closed forms need the desired update at the pre-activations of the new neurons: ``g = omega . v_proj`` for a
main direction omega of v_proj and one of the fan_out features, carried back through read and pool by autograd.
Linear: ``E[E^T g]``. Quadratic (thesis C.6.1): eigenvectors of ``E[E^T diag(g) E]`` with the largest |eigenvalue|.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dagrow.methods.fan_in import FanIn
from dagrow.methods.removal import Removal
from dagrow.work import product

MAIN = 2
"""Main directions omega of v_proj per child that closed forms are made for; of linear neurons, twice as many."""
FORMS = 12
"""Closed forms at most: of more (main directions x fan_out of all children) a random choice."""
ITERATIONS = 4
"""Power iterations: a start need not be an exact eigenvector."""
SHIFTS = (0.0, -1.0, 1.0)
"""Biases of the closed forms, in root mean squares of their pre-activation."""
SCALES = (0.7, 2.5)
"""Root mean squares of the closed forms' pre-activations, where the activation is not homogeneous."""
RANDOM = 40
"""Random neurons: direction, bias and scale."""


def starts(fan_in: FanIn, removal: Removal, linear: Tensor, homogeneous: bool, generator: torch.Generator) -> Tensor:
    """Weights ``[rank, starts]`` for one draw.

    Args:
        fan_in: coordinates.
        removal: of one draw.
        linear: ``[rank, M]`` moment whose singular vectors are linear neurons.
        homogeneous: whether the activation makes scales redundant.
        generator: on the CPU.
    """
    closed = [main_directions(linear.T, 2 * MAIN, generator), closed_forms(fan_in, removal, generator)]
    U = fan_in.directions(torch.cat(closed, 1))
    U = torch.cat([U, -U], 1)
    shifts = SHIFTS if fan_in.constant is not None else (0.0,)
    scales = (1.0,) if homogeneous else SCALES
    forms = [scale * fan_in.shifted(U, U.new_full((U.shape[1],), shift)) for scale in scales for shift in shifts]
    W = fan_in.directions(draw(fan_in.rank, RANDOM, generator, U))
    W = fan_in.shifted(W, draw(1, RANDOM, generator, U)[0])
    if not homogeneous:
        W = W * draw(1, RANDOM, generator, U).exp()
    return torch.cat([*forms, W], 1)


def closed_forms(fan_in: FanIn, removal: Removal, generator: torch.Generator) -> Tensor:
    """Directions for one draw, ``[rank, forms + 2 forms]``: the linear ones and two quadratic ones of each form."""
    E = fan_in.E.flatten(0, 1)
    g = _carried_back(fan_in, removal, generator)
    forms, pair = g.shape[1], min(2, fan_in.rank)
    U = draw(fan_in.rank, forms * pair, generator, E)
    for _ in range(ITERATIONS):
        U = product(E.T, (product(E, U).view(-1, forms, pair) * g.unsqueeze(2)).flatten(1))
        U = torch.linalg.qr(U.view(-1, forms, pair).transpose(0, 1))[0].transpose(0, 1).flatten(1)
    return torch.cat([E.T @ g, U], 1)


def _carried_back(fan_in: FanIn, removal: Removal, generator: torch.Generator) -> Tensor:
    """The g of several forms, ``[n P, forms]``: gradients at a random pre-activation and at its negative.

    The two together reach what a kinked activation would hide on either side: for a relu they add up to the identity.
    """
    forms = []
    for index, target in enumerate(removal.targets):
        goals = target.v[0] @ main_directions(target.v[0], MAIN, generator)
        fan_out = target.columns(removal.samples.activate(fan_in.E[..., :1])).shape[2]
        forms += [(index, goal, o) for goal in goals.T for o in range(fan_out)]
    forms = [forms[i] for i in torch.randperm(len(forms), generator=generator)[:FORMS].sort().values.tolist()]
    z = product(fan_in.E, fan_in.directions(draw(fan_in.rank, len(forms), generator, fan_in.E)))
    with torch.enable_grad():
        Z = torch.cat([z, -z], 2).requires_grad_()
        outputs, reached = removal.samples.activate(Z), 0 * Z.sum()
        for index, target in enumerate(removal.targets):
            columns = target.columns(outputs)
            for k, (owner, goal, o) in enumerate(forms):
                if owner == index:
                    reached = reached + goal @ (columns[:, k, o] + columns[:, k + len(forms), o])
        (g,) = torch.autograd.grad(reached, Z)
    one, other = g.flatten(0, 1).chunk(2, dim=1)
    both = one + other
    length: Tensor = both.norm(dim=0)
    return both / length.clamp(min=torch.finfo(both.dtype).tiny)


def main_directions(v: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """The first right singular vectors of v ``[rows, M]``, roughly, ``[M, count]``."""
    omega = draw(v.shape[1], min(count, *v.shape), generator, v)
    for _ in range(ITERATIONS):
        omega = torch.linalg.qr(product(v.T, product(v, omega)))[0]
    return omega


def draw(rows: int, columns: int, generator: torch.Generator, like: Tensor) -> Tensor:
    """Gaussian numbers, the same on every device and in every dtype."""
    return torch.randn(rows, columns, generator=generator, dtype=torch.float64).to(like)
