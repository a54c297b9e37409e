"""Build a graph with a skip edge in Python, and look at where it could grow before anything grows.

    python examples/skip_graph.py

    x -> h1 -> h2 -> h3 -> h4 -> y      with the skips      h1 -> h3      and      h1 -> y

A new unit of h1 is read by h2, h3 and y at once. The edge h2 -> h3 is an identity, so the sizes of h2 and h3
are one size: neither can change alone, and dagrow says so.
"""

from __future__ import annotations

import torch
from torch.nn.functional import mse_loss

import dagrow
from dagrow.graph import NotGrowable, sites

GRAPH = {
    "inputs": {"x": {"shape": [6]}},
    "nodes": {
        "h1": {"size": 3, "activation": "tanh"},
        "h2": {"size": 4, "activation": "gelu"},
        "h3": {"size": 4},
        "h4": {"size": 2, "activation": "selu"},
        "y": {"size": 2},
    },
    "edges": {
        "x -> h1": "linear",
        "h1 -> h2": "linear",
        "h1 -> h3": {"op": "linear", "bias": False},
        "h2 -> h3": "identity",
        "h3 -> h4": "linear",
        "h4 -> y": "linear",
        "h1 -> y": {"op": "linear", "bias": False},
    },
    "outputs": ["y"],
}


def samples(count: int = 600) -> tuple[torch.Tensor, torch.Tensor]:
    """Two smooth functions of six numbers."""
    x = torch.randn(count, 6, generator=torch.Generator().manual_seed(0))
    return x, torch.stack([torch.sin(x[:, 0] + x[:, 1]), x[:, 2] * x[:, 3]], dim=1)


def main() -> None:
    """Where it can grow, what each place would gain, and one insertion that keeps its promise."""
    # The same data as in a YAML file; a mistake is one message with the place of every defect.
    spec = dagrow.GraphSpec.model_validate(GRAPH)

    # Where it can grow is a question to the graph alone: no weights, no data.
    for place in sites(dagrow.Dag.of(spec)):
        if isinstance(place, NotGrowable):
            print(f"{place.node} keeps its size: {place.reason}")
        else:
            print(f"{place.node} can grow, read by {', '.join(str(reading.edge) for reading in place.readings)}")

    # What it would gain is a question to the data.
    model = dagrow.build(spec, seed=0).eval()
    x, y = samples()
    plan = dagrow.propose(model, mse_loss, [(x, y)], neurons=3, where="gain_per_parameter", shrinkage=0.0)
    print(plan)

    # The promised gain is the drop of the loss.
    before = float(mse_loss(model(x), y).detach())
    best = plan.best
    if best is not None:
        dagrow.apply(model, best)
        after = float(mse_loss(model(x), y).detach())
        print(f"promised {best.gain:.6f}, obtained {before - after:.6f}")
    print(model.code)


if __name__ == "__main__":
    main()
