"""Neurons with random fan-ins and a fan-out of 0: they keep the function, and training finds their use.

A method finds at most as many neurons as its statistic has rank: no more than the children have features. Where a node
is to grow by more than that, these complete them.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from dagrow.methods.modes import ZeroFanOut
from dagrow.methods.moments import MethodRequest, Neurons, SiteMoments
from dagrow.methods.random import gaussian_fan_ins


def padded(neurons: Neurons, moments: SiteMoments, request: MethodRequest) -> Neurons:
    """As many neurons as were asked for, those that were found first."""
    missing = request.neurons - neurons.count
    if not request.pad or missing < 1 or (neurons.count and not neurons.mode.may_be_completed):
        return neurons
    drawn = gaussian_fan_ins(moments, missing, torch.Generator().manual_seed(request.seed))
    spread = deviation(neurons.alpha, moments).square().mean().sqrt() if neurons.count else drawn.new_ones(())
    drawn = drawn * (spread / deviation(drawn, moments).clamp(min=torch.finfo(drawn.dtype).tiny))
    silent = drawn.new_zeros(missing, moments.N_proj.shape[1])
    if not neurons.count:
        return Neurons(drawn, silent, drawn.new_zeros(missing), mode=ZeroFanOut())
    return replace(
        neurons,
        alpha=torch.cat([neurons.alpha, drawn], 1),
        omega=torch.cat([neurons.omega, silent]),
        scores=torch.cat([neurons.scores, neurons.scores.new_zeros(missing)]),
    )


def random_zero_fan_out(moments: SiteMoments, request: MethodRequest) -> Neurons:
    """Such neurons alone, whatever the data say: where training is to decide."""
    return padded(Neurons.none(moments, ""), moments, replace(request, pad=True))


def deviation(alpha: Tensor, moments: SiteMoments) -> Tensor:
    """``[K]`` root mean square of the pre-activations of fan-ins ``alpha [F, K]``, at one position."""
    positions = moments.S.diagonal()[-1] if moments.has_constant else moments.S.new_ones(())
    size: Tensor = ((alpha * (moments.S @ alpha)).sum(0).clamp(min=0) / positions).sqrt()
    return size
