"""Random neurons with the norms of nothing in particular: the control every method must beat.

Fan-in uniform on the sphere of the whitened features' own scale, fan-out uniform on the sphere; the line
search gives them their amplitude, in the way of thesis eq. 5.6.
"""

from __future__ import annotations

import torch

from dagrow.methods.moments import Neurons, Request, SiteMoments


def random(moments: SiteMoments, request: Request) -> Neurons:
    """``request.neurons`` Gaussian neurons, each feature weighted by the inverse of its own root mean square."""
    generator = torch.Generator().manual_seed(request.seed)
    F, M = moments.N_proj.shape
    alpha = torch.randn(F, request.neurons, generator=generator, dtype=torch.float64)
    omega = torch.randn(request.neurons, M, generator=generator, dtype=torch.float64)
    rms = moments.S.diagonal().sqrt()
    scale = torch.where(rms > 0, 1 / rms, 0.0) / F**0.5
    alpha = alpha.to(moments.S.device) * scale.unsqueeze(1)
    omega = omega.to(moments.S.device) / M**0.5
    return Neurons(alpha, omega, torch.ones(request.neurons, dtype=torch.float64, device=moments.S.device))
