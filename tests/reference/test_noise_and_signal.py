"""Of pure noise nothing grows; what is really there is found, by every kind of candidate and by both methods."""

import pytest
import torch
from reference_network import batches, graph, inputs_for, network, normal, squared
from torch.nn import functional
from zoo import conv, node

from dagrow.planner import propose

SPECS = {
    "vectors": graph(
        {"x": [6]},
        {"h": node(3, "relu"), "k": node(3, "selu"), "y": 3},
        {"x->h": "linear", "h->k": "linear", "k->y": "linear", "x->y": "linear"},
    ),
    "maps": graph(
        {"x": [1, 5, 5]},
        {"h": node(2, "relu"), "k": node(2, "selu", pool="global_average"), "y": 3},
        {"x->h": conv(padding=1), "h->k": conv(kernel=3), "k->y": "linear"},
    ),
}
SAMPLES = 320
KINDS = ["widen", "edge", "node", "layer"]
TINY = 0.002
"""Of the loss: what is inserted of noise gains no more on held-out samples."""


def proposed(model, loss, data, **options):
    usual = {
        "candidates": KINDS,
        "neurons": 2,
        "held_out": 0.25,
        "max_solved": 6,
        "max_searched": 3,
        "shrinkage": 0.01,
        "keep_below_noise": False,
    }
    return propose(model, loss, data, **{**usual, **options})


def noise(name, loss, seed):
    """Targets that have nothing to do with the inputs, and a network that says nothing of them yet."""
    model = network(SPECS[name], seed).eval()
    with torch.no_grad():
        # Outputs that vary would be a real thing to learn: not to.
        for key, parameter in model.named_parameters():
            if key.startswith("y."):
                parameter.mul_(1e-3)
    x, generator = inputs_for(SPECS[name], SAMPLES, seed), torch.Generator().manual_seed(seed + 7)
    classes = torch.randint(3, (SAMPLES,), generator=generator)
    y = classes if loss is functional.cross_entropy else normal(SAMPLES, 3, seed=seed + 70)
    return model, loss, batches(x, y, [SAMPLES // 2] * 2)


@pytest.mark.share(0.35)
@pytest.mark.parametrize("method", ["tiny", "nonlinear"])
def test_nothing_grows_of_noise(method):
    """In at most one of eight looks, and then for next to nothing; ``keep_below_noise`` changes nothing there."""
    grown = []
    for loss in (squared, functional.cross_entropy):
        for seed in range(4):
            plan = proposed(*noise("vectors", loss, seed), method=method, keep_below_noise=True)
            assert plan.stages.considered > 10
            if plan.best is not None:
                grown.append(plan.best.held_out_gain / plan.held_out_loss)
    assert len(grown) <= 1
    assert all(share < TINY for share in grown)


def test_nothing_grows_of_noise_on_maps():
    plans = [
        proposed(*noise("maps", functional.cross_entropy, seed), max_solved=2, max_searched=2) for seed in range(2)
    ]
    assert all(plan.best is None or plan.best.held_out_gain < TINY * plan.held_out_loss for plan in plans)


@pytest.mark.parametrize("held_out", [0.0, 0.25])
def test_an_edge_of_noise_is_refused_without_held_out_samples_as_well(held_out):
    """What chance explains is known without them: of 40 edges at most two."""
    accepted = 0
    for seed in range(20):
        plan = proposed(*noise("vectors", squared, seed), candidates=["edge"], held_out=held_out, shrinkage=0)
        assert len(plan.candidates) == 2
        accepted += sum(not candidate.rejected for candidate in plan.candidates)
    assert accepted <= 2


def test_without_held_out_samples_noise_rarely_passes():
    """On average in about one of twenty sets, and in no more than one of ten here."""
    spec = graph({"x": [20]}, {"h": node(2, "tanh"), "y": 3}, {"x->h": "linear", "h->y": "linear"})
    taken = 0
    for seed in range(40):
        model, labels = network(spec, seed).eval(), torch.Generator().manual_seed(seed)
        data = [(normal(400, 20, seed=seed + 100), torch.randint(3, (400,), generator=labels))]
        options = {"candidates": ["widen"], "held_out": 0, "shrinkage": 0, "fallback_method": "none"}
        taken += proposed(model, functional.cross_entropy, data, **options).best is not None
    assert taken <= 4


def test_significance_0_lets_noise_in():
    """So that the tests above are tests of it."""
    grown = [
        proposed(*noise("vectors", squared, seed), significance=0, method="nonlinear").best is not None
        for seed in range(2)
    ]
    assert all(grown)


@pytest.mark.parametrize("method", ["tiny", "nonlinear"])
def test_one_real_neuron_brings_the_others_where_they_fill(method):
    """A teacher of one neuron: alone it stands out; asked to fill, it is the first of all that were asked for."""
    x = normal(2 * SAMPLES, 6, seed=3)
    y = torch.relu(x @ normal(6, 1, seed=4)) @ normal(1, 2, seed=5) + 0.5 * normal(2 * SAMPLES, 2, seed=6)
    chain = graph({"x": [6]}, {"h": node(1, "relu"), "y": 2}, {"x->h": "linear", "h->y": "linear"})
    model, data = network(chain, 1).eval(), batches(x, y, [len(x)])
    with torch.no_grad():
        # What it writes now would be a second thing to learn.
        model.y.from_h.weight.mul_(1e-3)
    # The output has two features: linear neurons are two at most.
    found = [
        proposed(model, squared, data, candidates=["widen"], method=method, shrinkage=0.1, keep_below_noise=fill).best
        for fill in (False, True)
    ]
    assert [each.neurons for each in found] == [1, 2]
    first, filled = (each.scores for each in found)
    assert filled[0] == pytest.approx(first[0])
    assert filled[1] < found[1].noise_level < filled[0]


def triangle(*nodes):
    edges = {"x->y": "linear"}
    if nodes:
        edges |= {"x->h": "linear", "h->y": "linear"}
    return graph({"x": [6]}, {**({"h": nodes[0]} if nodes else {}), "y": 2}, edges)


def look(kind, method, x, y, loss, activation):
    spec = triangle(node(1, activation)) if kind == "widen" else triangle()
    if kind == "edge":
        spec = graph({"x": [6]}, {"h": node(1, "tanh"), "y": 2}, {"x->h": "linear", "h->y": "linear"})
    model, data = network(spec, 1).eval(), batches(x, y, [len(x)])
    return proposed(model, loss, data, candidates=[kind], method=method, new_node={"activation": activation})


@pytest.mark.parametrize("method", ["tiny", "nonlinear"])
@pytest.mark.parametrize("kind", ["widen", "node", "layer"])
@pytest.mark.parametrize("seed", range(2))
def test_exclusive_or_is_found(kind, method, seed):
    """Whether the first two inputs have one sign: nothing that a linear network could see."""
    x = normal(2 * SAMPLES, 6, seed=seed)
    plan = look(kind, method, x, (x[:, 0] * x[:, 1] > 0).long(), functional.cross_entropy, "relu")
    assert plan.best is not None
    assert plan.best.held_out_gain > 0.1 * plan.held_out_loss


@pytest.mark.parametrize("method", ["tiny", "nonlinear"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(2))
def test_a_teacher_is_found_behind_noise(kind, method, seed):
    """Three hidden neurons, and as much noise as they write; less for a layer, which gives up the edge beside them."""
    x = normal(SAMPLES, 6, seed=seed)
    y = torch.tanh(x @ normal(6, 3, seed=seed + 1)) @ normal(3, 2, seed=seed + 2)
    y = y + (0.1 if kind == "layer" else 1.0) * float(y.std()) * normal(SAMPLES, 2, seed=seed + 3)
    plan = look(kind, method, x, y, squared, "tanh")
    assert plan.best is not None
    assert plan.best.held_out_gain > 0.01 * plan.held_out_loss
