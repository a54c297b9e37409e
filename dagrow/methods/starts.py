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

MAIN = 2
"""Main directions omega of v_proj per child that closed forms are made for."""
FORMS = 12
"""Closed forms at most: beyond it (main directions x fan_out of all children) a random choice."""
ROUNDS = 4
"""Power iterations: a start need not be an exact eigenvector."""


def closed_forms(fan_in: FanIn, removal: Removal, generator: torch.Generator) -> Tensor:
    """Directions for one draw, ``[rank, forms + 2 forms]``: the linear ones and two quadratic ones of each form."""
    E = fan_in.E.flatten(0, 1)
    g = _carried_back(fan_in, removal, generator)
    forms, pair = g.shape[1], min(2, fan_in.rank)
    U = draw(fan_in.rank, forms * pair, generator, E)
    for _ in range(ROUNDS):
        U = E.T @ ((E @ U).view(-1, forms, pair) * g.unsqueeze(2)).flatten(1)
        U = torch.linalg.qr(U.view(-1, forms, pair).transpose(0, 1))[0].transpose(0, 1).flatten(1)
    return torch.cat([E.T @ g, U], 1)


def _carried_back(fan_in: FanIn, removal: Removal, generator: torch.Generator) -> Tensor:
    """g of several forms, ``[n P, forms]``: a gradient at a random pre-activation and at its negative.

    The two together reach what a kinked activation would hide on either side: for a relu they add up to the identity.
    """
    forms: list[tuple[int, Tensor, int]] = []
    for index, child in enumerate(removal.children):
        v = child.v[0]
        omega = main_directions(v, MAIN, generator)
        fan_out = child.columns(removal.activate(fan_in.E[..., :1])).shape[2]
        forms += [(index, v @ omega[:, i], o) for i in range(omega.shape[1]) for o in range(fan_out)]
    if len(forms) > FORMS:
        chosen = torch.randperm(len(forms), generator=generator)[:FORMS].tolist()
        forms = [forms[i] for i in sorted(chosen)]
    z = fan_in.E @ fan_in.directions(draw(fan_in.rank, len(forms), generator, fan_in.E))
    with torch.enable_grad():
        Z = torch.cat([z, -z], 2).requires_grad_()
        outputs, inner = removal.activate(Z), Z.sum() * 0
        for index, child in enumerate(removal.children):
            own = [j for j, form in enumerate(forms) if form[0] == index]
            if own:
                X = child.columns(outputs)
                v = torch.stack([forms[j][1] for j in own], 1)
                features = torch.tensor([forms[j][2] for j in own], device=X.device)
                for side in (0, len(forms)):
                    at = torch.tensor(own, device=X.device) + side
                    inner = inner + (X[:, at, features] * v).sum()
        (g,) = torch.autograd.grad(inner, Z)
    one, other = g.flatten(0, 1).chunk(2, dim=1)
    g = one + other
    return g / g.norm(dim=0).clamp(min=torch.finfo(g.dtype).tiny)


def main_directions(v: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """The first right singular vectors of v ``[rows, M]``, roughly, ``[M, count]``."""
    omega = draw(v.shape[1], min(count, *v.shape), generator, v)
    for _ in range(ROUNDS):
        omega = torch.linalg.qr(v.T @ (v @ omega))[0]
    return omega


def draw(rows: int, columns: int, generator: torch.Generator, like: Tensor) -> Tensor:
    """Gaussian numbers, the same on every device and in every dtype."""
    return torch.randn(rows, columns, generator=generator, dtype=torch.float64).to(like)
