"""Algorithms 1 and 2 of Philipp & Carbonell (2017), line by line, unit by unit, in float64.

Weights are the paper's: a list of matrices ``[d_(layer-1), d_l]``, one column per fan-in; index 0 is layer 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

Weights = list[Tensor]


@dataclass
class Loops:
    """The state of one run of Algorithm 1; with ``beta_arith``, of Algorithm 2.

    Attributes:
        W: the weights.
        gradient: of the loss by all weights (line 8).
        alpha_r: radial step size.
        alpha_phi: angular step size.
        beta: (quadratic) mixing rate.
        epsilon: numerical stabilizer.
        beta_arith: arithmetic mixing rate; None for Algorithm 1.
        shrinkage: ``alpha_r lambda |D^t| / |D|``.
        removal: whether zero units are removed.
    """

    W: Weights
    gradient: Callable[[Weights], Weights]
    alpha_r: float
    alpha_phi: float
    beta: float
    epsilon: float
    beta_arith: float | None = None
    shrinkage: float = 0.0
    removal: bool = False
    phi_max: float = 0.0
    c_max: float = 0.0
    phi_bar: list[list[float]] = field(default_factory=list)
    c: list[list[float]] = field(default_factory=list)
    phi_tilde: Weights = field(default_factory=list)
    a: list[list[float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for W in self.W:
            self.phi_bar.append([0.0] * W.shape[1])
            self.c.append([0.0] * W.shape[1])
            self.a.append([0.0] * W.shape[1])
            self.phi_tilde.append(torch.zeros_like(W))

    def iteration(self, new_units: dict[int, Tensor] | None = None) -> None:
        """One turn of the outer loop.

        Args:
            new_units: per layer, the random columns that are added to it (line 24 of Algorithm 1).
        """
        G = self.gradient(self.W)
        for layer in reversed(range(len(self.W))):
            alt = False
            for j in reversed(range(self.W[layer].shape[1])):
                self._unit(layer, j, G[layer][:, j])
                if self.removal and layer < len(self.W) - 1 and not self.W[layer][:, j].any():
                    self._remove(layer, j)
                    alt = True
            if alt and self.beta_arith is not None:
                for j in range(self.W[layer + 1].shape[1]):
                    w, tilde = self.W[layer + 1][:, j], self.phi_tilde[layer + 1][:, j]
                    if w.any():  # everything is across a fan-in of 0
                        self.phi_tilde[layer + 1][:, j] = tilde - (tilde @ w) / (w @ w) * w
        # Lines 22 to 25, after the last removal: an entry for a unit that goes in this iteration would go with it.
        for layer in sorted(new_units or {}, reverse=True):
            self._add(layer, (new_units or {})[layer])

    def _unit(self, layer: int, j: int, g: Tensor) -> None:
        w = self.W[layer][:, j].clone()
        # A fan-in of 0 has no direction: all of its gradient is radial.
        r = (g @ w) / (w @ w) * w if w.any() else g
        phi = g - r
        self.phi_bar[layer][j] = (1 - self.beta) * self.phi_bar[layer][j] + self.beta * float(phi @ phi)
        self.c[layer][j] = (1 - self.beta) * self.c[layer][j] + self.beta
        self.phi_max = max(self.phi_max, self.phi_bar[layer][j])
        self.c_max = max(self.c_max, self.c[layer][j])
        factor = (self.phi_max / self.c_max) ** 0.5 / (self.phi_bar[layer][j] / self.c[layer][j] + self.epsilon) ** 0.5
        if self.beta_arith is None:
            phi_adj = factor * phi
        else:
            self.phi_tilde[layer][:, j] = (1 - self.beta_arith) * self.phi_tilde[layer][:, j] + self.beta_arith * phi
            self.a[layer][j] = (1 - self.beta_arith) * self.a[layer][j] + self.beta_arith
            phi_adj = factor * self.phi_tilde[layer][:, j] / self.a[layer][j]
        angle = self.alpha_phi * float(phi_adj.norm()) if w.any() else 0.0
        w = w - self.alpha_r * r
        before = w
        w = rotated(w, angle, -phi_adj)
        if self.beta_arith is not None:
            # "In the same manner" as the fan-in: towards where it pointed before it was turned.
            self.phi_tilde[layer][:, j] = rotated(self.phi_tilde[layer][:, j], angle, before)
        self.W[layer][:, j] = shrunk(w, self.shrinkage)

    def _remove(self, layer: int, j: int) -> None:
        for table in (self.W, self.phi_tilde):
            table[layer] = torch.cat([table[layer][:, :j], table[layer][:, j + 1 :]], dim=1)
            table[layer + 1] = torch.cat([table[layer + 1][:j], table[layer + 1][j + 1 :]])
        for numbers in (self.phi_bar, self.c, self.a):
            del numbers[layer][j]

    def _add(self, layer: int, columns: Tensor) -> None:
        count, following = columns.shape[1], self.W[layer + 1].shape[1]
        self.W[layer] = torch.cat([self.W[layer], columns], dim=1)
        self.phi_tilde[layer] = torch.cat([self.phi_tilde[layer], torch.zeros_like(columns)], dim=1)
        for table in (self.W, self.phi_tilde):
            table[layer + 1] = torch.cat([table[layer + 1], torch.zeros(count, following, dtype=columns.dtype)])
        for numbers in (self.phi_bar, self.c, self.a):
            numbers[layer] += [0.0] * count


def rotated(vector: Tensor, angle: float, direction: Tensor) -> Tensor:
    """A vector turned by an angle, in the plane of both, towards a direction."""
    across = direction - (direction @ vector) / (vector @ vector).clamp(min=1e-300) * vector
    length, size = vector.norm(), across.norm()
    if angle == 0 or length == 0 or size == 0:
        return vector
    moved = [
        torch.cos(torch.tensor(angle, dtype=torch.float64)) * vector[i]
        + torch.sin(torch.tensor(angle, dtype=torch.float64)) * length * across[i] / size
        for i in range(len(vector))
    ]
    return torch.stack(moved)


def shrunk(vector: Tensor, amount: float) -> Tensor:
    """Group shrinkage: shorter by the amount, 0 if it is no longer than that."""
    length = float(vector.norm())
    return vector * (1 - amount / length) if length > amount else torch.zeros_like(vector)
