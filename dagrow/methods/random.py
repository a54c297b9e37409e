"""Random neurons at their best amplitude: the control every method must beat (thesis 5.3.2, eq. 5.6).

``(alpha, omega) ~ N(0, I)``, the features taken in units of their common root mean square (`SiteMoments.lengths`), so
that the unit of the data changes nothing. A direction drawn at random points uphill as often as down: amplitudes are
searched in [-L, L].
"""

from __future__ import annotations

import torch

from dagrow.methods.moments import Neurons, Request, SiteMoments


def random(moments: SiteMoments, request: Request) -> Neurons:
    """``request.neurons`` Gaussian neurons."""
    generator = torch.Generator().manual_seed(request.seed)
    F, M = moments.N_proj.shape
    alpha = torch.randn(F, request.neurons, generator=generator, dtype=torch.float64).to(moments.S.device)
    omega = torch.randn(request.neurons, M, generator=generator, dtype=torch.float64).to(moments.S.device)
    # One length for all features that share a unit: a rare one is drawn as seldom large as any other.
    alpha = alpha / moments.lengths.unsqueeze(1)
    return Neurons(alpha, omega, alpha.new_ones(request.neurons), two_sided=True)
