"""TINY: the neurons that reduce the expressivity bottleneck most (thesis Prop. 3.2.3, Lemma C.2.4).

With the SVD ``S^(-1/2) N = U L V^T`` of ``N = E[B^T v_proj]``: ``alpha_k = sqrt(l_k) S^(-1/2) u_k``,
``omega_k = sqrt(l_k) v_k``, and the bottleneck drops by ``sum l_k^2``. Any root R of ``S^+`` gives the same
neurons as ``S^(-1/2)``, since they differ by a rotation; see `Metric`.

Beside an edge that carries the same features already (the triangle) N is 0 and there are no such neurons. Another
method is asked then, `MethodRequest.fallback_method` ("completed TINY", thesis 3.3); where samples can be had
and none is named, it is `nonlinear`.
"""

from __future__ import annotations

import torch

from dagrow.methods.moments import MethodRequest, Neurons, SiteMoments
from dagrow.methods.nonlinear import nonlinear
from dagrow.ties import agreeing


def tiny(moments: SiteMoments, request: MethodRequest) -> Neurons:
    """The first neurons of Prop. 3.2.3 whose singular values stand out of the noise; without any, another method's."""
    metric = moments.metric(request.shrinkage)
    U, values, Vh = _svd(metric.whiten(moments.N_proj), moments.precision)
    noise_level = 0.0
    if request.significance > 0 and values.numel():
        noise_level = request.noise_level.level(metric, moments.noise_draws)
    # What rounding leaves of an N that is really 0, relative to v_goal's length: of the products in their
    # dtype, and of the children's solves, which are in float64 but may be ill-conditioned.
    eps = max(8 * torch.finfo(moments.precision).eps, 1e3 * torch.finfo(torch.float64).eps)
    rounding = eps * max(metric.rank, 1) ** 0.5 * moments.v_goal_squared**0.5
    count = int((values > max(request.significance * noise_level, rounding)).sum())
    if request.keep_below_noise and count > 0:
        count = int((values > rounding).sum())
    count = min(count, request.neurons)
    fallback_method = request.fallback_method or (nonlinear if moments.samples is not None else None)
    if count == 0 and request.neurons > 0 and fallback_method is not None:
        return fallback_method(moments, request)
    roots = values[:count].sqrt()
    alpha = metric.unwhiten(U[:, :count] * roots)
    omega = Vh[:count] * roots.unsqueeze(1)
    signs = canonical_signs(alpha, omega, moments)
    return Neurons(alpha * signs, omega * signs.unsqueeze(1), values[:count], noise_level)


def canonical_signs(alpha: torch.Tensor, omega: torch.Tensor, moments: SiteMoments) -> torch.Tensor:
    """One of the two signs of each neuron: its mean pre-activation is positive, so a relu lets it through.

    Where the mean is 0 up to rounding, the largest fan-out weight is positive instead; of several, the first.
    """
    mean = alpha.T @ moments.mean
    spread = (alpha * (moments.S @ alpha)).sum(0).clamp(min=0).sqrt()
    if omega.numel() == 0:
        return torch.ones_like(mean)
    largest = omega.gather(1, agreeing(omega.abs()).int().argmax(1, keepdim=True)).squeeze(1)
    decisive = torch.where(mean.abs() > 1e-5 * spread, mean, largest)
    return torch.where(decisive < 0, -1.0, 1.0).to(mean.dtype)


def _svd(W: torch.Tensor, precision: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """``W = U diag(values) Vh``, values falling.

    A tall W made of float32 products goes by the eigenvectors of ``W^T W``, in float64: what squaring loses
    lies below the rounding of the products anyhow.
    """
    if precision == torch.float64 or W.shape[0] < 2 * W.shape[1]:
        U, values, Vh = torch.linalg.svd(W, full_matrices=False)
        return U, values, Vh
    squares, V = torch.linalg.eigh(W.T @ W)
    values, V = squares.flip(0).clamp(min=0).sqrt(), V.flip(1)
    return W @ V / values.clamp(min=torch.finfo(W.dtype).tiny), values, V.T
