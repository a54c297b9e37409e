"""Net2Net: existing neurons are copied, and each shares its fan-out with its copies (Chen et al., ICLR 2016).

The function stays as it is. Copies that are quite equal would stay equal for ever, so noise on their fan-ins may
tell them apart. Deepening by identity is the planner's new layer with nothing beside the units that keep the function.
"""

from __future__ import annotations

import torch

from dagrow.methods.modes import SplitNeurons
from dagrow.methods.moments import MethodRequest, Neurons, SiteMoments


def net2net(moments: SiteMoments, request: MethodRequest) -> Neurons:
    """Copies of existing neurons drawn at random, each chosen once before any is chosen twice."""
    assert moments.existing is not None
    there = moments.existing.alpha.double()
    if not there.shape[1]:
        return Neurons.none(moments, "there is no neuron to be copied")
    generator = torch.Generator().manual_seed(request.seed)
    rounds = -(-request.neurons // there.shape[1])
    order = torch.cat([torch.randperm(there.shape[1], generator=generator) for _ in range(rounds)])
    chosen = order[: request.neurons].to(there.device)
    noise = torch.randn(there.shape[0], len(chosen), generator=generator, dtype=torch.float64).to(there.device)
    lengths = moments.lengths.unsqueeze(1)
    size = (lengths * there)[:, chosen].norm(dim=0) / there.shape[0] ** 0.5 / lengths
    omega = there.new_zeros(len(chosen), moments.N_proj.shape[1])
    return Neurons(request.copy_noise * size * noise, omega, there.new_zeros(len(chosen)), mode=SplitNeurons(chosen))
