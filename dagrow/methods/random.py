"""Random neurons at their best amplitude: the control every method must beat (thesis 5.3.2, eq. 5.6).

``(alpha, omega) ~ N(0, I)``, the features taken in units of their common root mean square (`SiteMoments.lengths`), so
that the unit of the data changes nothing. A direction drawn at random points uphill as often as down: amplitudes are
searched in [-L, L].
"""

from __future__ import annotations

import torch
from torch import Tensor

from dagrow.methods.modes import SearchedAmplitude
from dagrow.methods.moments import MethodRequest, Neurons, SiteMoments


def random(moments: SiteMoments, request: MethodRequest) -> Neurons:
    """``request.neurons`` Gaussian neurons."""
    generator = torch.Generator().manual_seed(request.seed)
    alpha = gaussian_fan_ins(moments, request.neurons, generator)
    omega = torch.randn(len(alpha.T), moments.N_proj.shape[1], generator=generator, dtype=torch.float64)
    return Neurons(alpha, omega.to(alpha), alpha.new_ones(request.neurons), mode=SearchedAmplitude(allow_negative=True))


def gaussian_fan_ins(moments: SiteMoments, count: int, generator: torch.Generator) -> Tensor:
    """``[F, count]`` Gaussian fan-ins, with one length for all features that share a unit.

    A rare feature is drawn as seldom large as any other.
    """
    alpha = torch.randn(len(moments.S), count, generator=generator, dtype=torch.float64).to(moments.S.device)
    return alpha / moments.lengths.unsqueeze(1)
