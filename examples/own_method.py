"""Write a growth method of your own and compare it with TINY and with random neurons.

    python examples/own_method.py

A method is one function on matrices: moments at a place in, neurons out. Where it is used, how the neurons
become weights, their amplitude and their gain are the same for all methods.
"""

from __future__ import annotations

import copy

import torch
from sklearn.datasets import load_wine
from torch.nn.functional import cross_entropy

import dagrow
from dagrow.methods import MethodRequest, Neurons, SiteMoments

STARTS, STEPS, NEURONS = 3, 3, 2
ROWS = (("tiny", 0.0), ("tiny", 1.0), ("steepest", 0.0), ("random", 0.0))
"""Methods to compare, with the shrinkage of the metric."""


def steepest(moments: SiteMoments, request: MethodRequest) -> Neurons:
    """The neurons along which the loss falls fastest per length of their weights.

    With N = E[B^T v_proj], ``[F, M]``, the singular vectors of N are the fan-ins (columns of U) and fan-outs
    (rows of V^T) that go best with N. TINY takes those of ``S^(-1/2) N``; with much shrinkage S is nearly a
    multiple of the identity, and TINY is nearly this method.
    """
    U, values, Vh = torch.linalg.svd(moments.N_proj, full_matrices=False)
    count = min(request.neurons, int((values > 1e-6 * values[0]).sum()))
    return Neurons(alpha=U[:, :count], omega=Vh[:count], scores=values[:count])


def wine() -> tuple[torch.Tensor, torch.Tensor]:
    """178 wines: 13 standardized measurements, and from which of 3 growers they are."""
    x, y = (torch.tensor(part) for part in load_wine(return_X_y=True))
    return ((x - x.mean(0)) / x.std(0)).float(), y


def grown_loss(model: torch.fx.GraphModule, method: str, shrinkage: float) -> float:
    """The training loss after some insertions, without any gradient descent."""
    x, y = wine()
    for step in range(STEPS):
        plan = dagrow.propose(
            model,
            cross_entropy,
            [(x, y)],
            method=method,
            neurons=NEURONS,
            shrinkage=shrinkage,
            significance=0,  # keep all neurons: so few samples say little about noise
            seed=step,
        )
        if plan.best is None:
            break
        dagrow.apply(model, plan.best)
    return float(cross_entropy(model(x), y).detach())


def main() -> None:
    """Grow the same small networks by each method."""
    dagrow.register_method("steepest", steepest)  # from here on, run files may say "method: steepest"

    spec = dagrow.GraphSpec.model_validate(
        {
            "inputs": {"x": {"shape": [13]}},
            "nodes": {"h": {"size": 1, "activation": "relu"}, "y": {"size": 3}},
            "edges": {"x -> h": "linear", "h -> y": "linear"},
            "outputs": ["y"],
        }
    )
    starts = [dagrow.build(spec, seed=seed).eval() for seed in range(STARTS)]
    for method, shrinkage in ROWS:
        losses = [grown_loss(copy.deepcopy(start), method, shrinkage) for start in starts]
        found = ", ".join(f"{loss:.4f}" for loss in losses)
        print(f"{method} (shrinkage {shrinkage:g}): mean loss {sum(losses) / STARTS:.4f} of {found}")


if __name__ == "__main__":
    main()
