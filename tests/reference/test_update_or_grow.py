"""Update or grow (thesis, Conclusion): what moving the weights of a node gains beside what new neurons gain there."""

import numpy as np
import pytest
import torch
from reference_network import mean_loss, sample_values, squared
from test_joint_insertion import CHAINED, EXACT, FEEDING, problem

from dagrow.build import Network
from dagrow.planner import apply, propose


def moved(model: Network, node, dW, amplitude):
    """The loss with the update in the weights of the edges into a node."""
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    edges = [edge for edge in model.spec.edges if edge.target == node]
    carriers = [edge for edge in edges if f"{node}.from_{edge.source}.bias" in before]
    start = 0
    with torch.no_grad():
        for edge in edges:
            weight = dict(model.named_parameters())[f"{node}.from_{edge.source}.weight"]
            weight += amplitude * torch.from_numpy(dW[:, start : start + weight.shape[1]])
            start += weight.shape[1]
            if edge in carriers:
                bias = dict(model.named_parameters())[f"{node}.from_{edge.source}.bias"]
                bias += amplitude * torch.from_numpy(dW[:, -1]) / len(carriers)
    return before


def gain_of_update(model, xs, y, data, node):
    """The best of a dense grid of amplitudes of the least-squares update, each written into the network."""
    values = sample_values(model, squared, xs, y)
    edges = [edge for edge in model.spec.edges if edge.target == node]
    B = np.stack([np.concatenate([*(one.b[edge.source] for edge in edges), [1.0]]) for one in values])
    dW = np.linalg.lstsq(B, np.stack([one.v_goal[node] for one in values]), rcond=None)[0].T
    start, best = mean_loss(model, squared, data), 0.0
    for amplitude in np.geomspace(1e-3, 1e2, 201):
        before = moved(model, node, dW, float(amplitude))
        best = max(best, start - mean_loss(model, squared, data))
        model.load_state_dict(before)
    return best


@pytest.mark.parametrize("spec", [CHAINED, FEEDING], ids=["chain", "children that feed one another"])
def test_the_larger_of_both_gains_is_taken(spec):
    model, xs, y, data = problem(spec, 0)
    plan = propose(model, squared, data, candidates=["update", "widen"], neurons=2, **EXACT)
    kinds = {candidate.kind for candidate in plan.candidates}
    assert kinds == {"update", "widen"}
    for candidate in plan.candidates:
        if candidate.kind == "update":
            expected = gain_of_update(model, xs, y, data, candidate.place)
            assert candidate.gain == pytest.approx(expected, rel=2e-3)
            assert candidate.cost.parameters == 0
    assert plan.best.gain == max(candidate.gain for candidate in plan.candidates)


def test_once_the_weights_are_at_their_best_it_grows():
    """A linear output on squared loss is at its least squares after one update: then neurons gain more."""
    model, _, _, data = problem(CHAINED, 1)
    taken = []
    for _ in range(4):
        plan = propose(model, squared, data, candidates=["update", "widen"], nodes=["h", "y"], neurons=4, **EXACT)
        before = mean_loss(model, squared, data)
        taken.append(plan.best.kind)
        apply(model, plan.best, insert="zero_fan_out_unscaled" if plan.best.kind == "update" else "amplitude")
        assert before - mean_loss(model, squared, data) == pytest.approx(plan.best.gain, rel=1e-7)
    assert set(taken) == {"update", "widen"}
