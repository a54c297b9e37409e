"""A growth method: the neurons along which the loss falls fastest per length of their weights."""

from __future__ import annotations

import torch

import dagrow
from dagrow.methods import MethodRequest, Neurons, SiteMoments


def plain_svd(moments: SiteMoments, request: MethodRequest) -> Neurons:
    """Singular vectors of ``N = E[B^T v_proj]``, ``[F, M]``, largest first; inputs are not whitened as TINY does."""
    U, values, Vh = torch.linalg.svd(moments.N_proj, full_matrices=False)
    count = min(request.neurons, int((values > 1e-6 * values[0]).sum()))
    return Neurons(alpha=U[:, :count], omega=Vh[:count], scores=values[:count])


dagrow.register_method("plain_svd", plain_svd)
