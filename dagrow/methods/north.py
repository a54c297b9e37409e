"""NORTH, or random projection: new neurons that see what no existing one does (Maile et al. 2022; thesis 4.1.2).

The fan-out is 0, so nothing changes when a neuron enters; training finds its use. Fan-ins are drawn at random and
projected onto a kernel, that of the existing fan-ins W (thesis 4.9) or that of the existing pre-activations (4.11).
Of many drawn, those are taken of which the projection leaves most, each counted as existing for the next.

With A the pre-activations on B, the second kernel is ``S^+ B P_Ker(A) r``. As ``B r`` is normal with covariance S and
``A = W B``, that is ``S^+ g - W^T (W S W^T)^+ W g`` with g of covariance S: a matter of moments, as the first is.
Both are the projection of a fan-in along the span of W, orthogonally in the metric ``M = I`` or ``M = S``. Fan-ins and
their lengths are those on features of root mean square 1 (`SiteMoments.lengths`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from dagrow.methods.modes import ZeroFanOut
from dagrow.methods.moments import MethodRequest, Neurons, SiteMoments
from dagrow.ties import first_best

DRAWN = 256
"""Random fan-ins; the paper draws 100 to 1000."""


def north_weights(moments: SiteMoments, request: MethodRequest) -> Neurons:
    """Fan-ins orthogonal to those that are there."""
    assert moments.existing is not None
    lengths = moments.lengths
    return _projected(moments, request, torch.diag(1 / lengths), lengths.unsqueeze(1) * moments.existing.alpha.double())


def north_activations(moments: SiteMoments, request: MethodRequest) -> Neurons:
    """Pre-activations orthogonal to those that are there, over the samples."""
    assert moments.existing is not None
    metric = moments.metric()
    root = metric.unwhiten(torch.eye(metric.rank, dtype=torch.float64, device=moments.S.device))
    return _projected(moments, request, root, root.T @ moments.S @ moments.existing.alpha.double())


def _projected(moments: SiteMoments, request: MethodRequest, root: Tensor, taken: Tensor) -> Neurons:
    """Random fan-ins less their part along the existing ones.

    Args:
        moments: of the site.
        request: how many.
        root: ``[F, rank]`` fan-ins that are orthonormal in the metric.
        taken: ``[rank, K]`` the existing fan-ins in these coordinates.
    """
    assert moments.existing is not None
    lengths = moments.lengths.unsqueeze(1)
    there = lengths * moments.existing.alpha.double()
    generator = torch.Generator().manual_seed(request.seed)
    drawn = torch.randn(root.shape[1], DRAWN, generator=generator, dtype=torch.float64).to(root.device)
    basis = _basis(taken)
    found: list[Tensor] = []
    shares: list[float] = []
    while len(found) < request.neurons and basis.shape[1] < root.shape[1]:
        left = drawn - basis @ (basis.T @ drawn)
        left = left - basis @ (basis.T @ left)  # what rounding left of a long one
        share = left.square().sum(0) / drawn.square().sum(0)
        best = first_best(share)
        w = left[:, best] / left[:, best].norm()
        found.append(w)
        shares.append(float(share[best]) ** 0.5)
        basis = torch.cat([basis, w.unsqueeze(1)], 1)
    if not found:
        return Neurons.none(moments, "the existing neurons leave no direction free")
    alpha = root @ torch.stack(found, 1)
    if there.shape[1]:
        # As long as those that are there.
        alpha = alpha * (there.norm(dim=0).mean() / (lengths * alpha).norm(dim=0))
    omega = alpha.new_zeros(len(found), moments.N_proj.shape[1])
    return Neurons(alpha, omega, alpha.new_tensor(shares), mode=ZeroFanOut())


def _basis(columns: Tensor) -> Tensor:
    """Orthonormal columns of the same span."""
    U, values, _ = torch.linalg.svd(columns, full_matrices=False)
    kept = values > 1e-10 * values.amax(0) if values.numel() else values > 0
    basis: Tensor = U[:, kept]
    return basis
