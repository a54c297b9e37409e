"""GradMax: neurons that will learn fastest (Evci et al., ICLR 2022, eq. 11; thesis 4.1.1).

The fan-in is 0, so nothing changes when a neuron enters, and the gradient of its fan-in is ``-E[B^T v_goal] omega``.
It is longest, among orthogonal fan-outs of one length, for the first right singular vectors of ``N = E[B^T v_goal]``.
Nothing is whitened and nothing projected out. Gradients are those of fan-ins on features of root mean square 1
(`SiteMoments.lengths`), or the unit of the inputs would choose the fan-outs. Every fan-out has the mean length of those
that are there (the authors' rule), 1 in an empty node.
"""

from __future__ import annotations

import torch

from dagrow.methods.modes import ZeroFanIn
from dagrow.methods.moments import MethodRequest, Neurons, SiteMoments


def gradmax(moments: SiteMoments, request: MethodRequest) -> Neurons:
    """Fan-in 0 and the fan-outs of the steepest descent; scores are the norms of the fan-ins' gradients."""
    N, there = moments.N_goal, moments.existing
    assert N is not None
    lengths = moments.lengths.unsqueeze(1)
    _, values, Vh = torch.linalg.svd(N.double() / lengths, full_matrices=False)
    rounding = 8 * torch.finfo(moments.precision).eps * float(values.amax(0)) if values.numel() else 0.0
    count = min(int((values > rounding).sum()), request.neurons)
    if count == 0:
        return Neurons.none(moments, "the gradient is 0")
    length = 1.0 if there is None or not there.count else float(there.fan_out.mean())
    omega = length * Vh[:count]
    return Neurons(
        alpha=N.new_zeros(N.shape[0], count),
        omega=omega,
        scores=length * values[:count],
        mode=ZeroFanIn(N / lengths.square() @ omega.T),
    )
