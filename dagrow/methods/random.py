"""Random neurons at their best amplitude: the control every method must beat (thesis 5.3.2, eq. 5.6).

``(alpha, omega) ~ N(0, I)``, the features taken in units of their overall root mean square, so that the unit of the
data changes nothing. A direction drawn at random points uphill as often as down: amplitudes are searched in [-L, L].
"""

from __future__ import annotations

import torch
from torch import Tensor

from dagrow.methods.moments import Neurons, Request, SiteMoments


def random(moments: SiteMoments, request: Request) -> Neurons:
    """``request.neurons`` Gaussian neurons."""
    generator = torch.Generator().manual_seed(request.seed)
    alpha = gaussian_fan_ins(moments, request.neurons, generator)
    omega = torch.randn(len(alpha.T), moments.N_proj.shape[1], generator=generator, dtype=torch.float64)
    return Neurons(alpha, omega.to(alpha), alpha.new_ones(request.neurons), two_sided=True)


def gaussian_fan_ins(moments: SiteMoments, count: int, generator: torch.Generator) -> Tensor:
    """``[F, count]`` Gaussian fan-ins, with one unit for all features: their root mean square."""
    F = len(moments.S)
    alpha = torch.randn(F, count, generator=generator, dtype=torch.float64).to(moments.S.device)
    scale = torch.ones(F, dtype=torch.float64, device=moments.S.device)
    features = F - 1 if moments.has_constant else F
    rms = moments.S.diagonal()[:features].mean().sqrt()
    if float(rms) > 0:
        # One unit for all features: a rare one is drawn as seldom large as any other.
        constant = moments.S.diagonal()[-1].sqrt() if moments.has_constant else 1.0
        scale[:features] = constant / rms
    return alpha * scale.unsqueeze(1)
