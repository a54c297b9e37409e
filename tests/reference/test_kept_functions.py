"""A new layer keeps the function of the edge that it replaces, before any of its new neurons speaks."""

import pytest
import torch
from reference_network import graph, inserted, network, normal, squared
from tolerances import SOLVED, assert_same_function
from zoo import conv, node, transposed

from dagrow.build import merged, probe
from dagrow.ops import ACTIVATIONS
from dagrow.planner import apply, propose

EXACT = {"identity", "relu", "leaky_relu", "gelu", "silu", "softplus"}
SHIFTED = {"selu", "elu"}
"""Exact on all values nearer than five root mean squares."""
TANH = 2e-3
"""tanh is used at a hundredth of the root mean square: z - tanh(z) is z^3 / 3 there, and some z are four times that."""

GRAPHS = {
    "narrows": graph({"x": [6]}, {"h": node(5, "relu"), "y": 2}, {"x->h": "linear", "h->y": "linear"}),
    "widens": graph({"x": [2]}, {"h": node(7, "tanh"), "y": 2}, {"x->h": "linear", "h->y": "linear", "x->y": "linear"}),
    "without bias": graph(
        {"x": [4]},
        {"h": node(3), "y": 4},
        {"x->h": {"op": "linear", "bias": False}, "h->y": {"op": "linear", "bias": False}},
    ),
    "tokens": graph(
        {"x": [3, 4]}, {"h": node(5, "gelu"), "y": node(2, pool="global_average")}, {"x->h": "linear", "h->y": "linear"}
    ),
    "narrowing convolution": graph(
        {"x": [4, 5, 5]},
        {"h": node(2, "selu", norm="batch"), "y": node(2, pool="global_average")},
        {"x->h": conv(padding=1, stride=2), "h->y": conv(kernel=2, bias=False)},
    ),
    "widening convolution": graph(
        {"x": [1, 6, 5]},
        {"h": node(6, "relu", pool={"kind": "max", "kernel": 2}), "y": node(2, flatten=True), "z": 2},
        {"x->h": conv(padding=1, dilation=1), "h->y": conv(kernel=(1, 2), padding=1), "y->z": "linear"},
        ["z"],
    ),
    "transposed convolution": graph(
        {"x": [2, 3, 3]},
        {"h": node(3, "relu"), "y": node(2, pool="global_average")},
        {"x->h": transposed(kernel=3, stride=2, padding=1, output_padding=1), "h->y": transposed(kernel=2)},
    ),
}


def setting(spec, dtype=torch.float64, samples=30):
    model = network(spec, 2, dtype).eval()
    x = normal(samples, *spec.inputs["x"].shape, seed=1, dtype=dtype)
    y = normal(samples, *model.dag.output(spec.outputs[0]), seed=2, dtype=dtype)
    return model, x, y


def layers(model, x, y, **options):
    """Candidates of every edge, all thresholds open."""
    # An identity has no non-linear neurons.
    method = "random" if options["new_node"]["activation"] == "identity" else "nonlinear"
    plan = propose(
        model, squared, [(x, y)], candidates=["layer"], method=method, neurons=2, shrinkage=0, significance=0,
        max_solved=99, max_searched=99, **options,
    )  # fmt: skip
    return plan, {str(c.trial.change.structure.removed_edges[0]): c for c in plan.candidates if c.trial is not None}


def written(model, x, name):
    with torch.no_grad():
        return probe(model, model.dag, [merged(name)])(x)[len(model.spec.outputs)]


@pytest.mark.share(0.21)
@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_at_amplitude_0_the_function_is_that_of_the_edge(activation, name):
    """Every node's pre-activation on the data, not only the loss."""
    model, x, y = setting(GRAPHS[name])
    plan, found = layers(model, x, y, new_node={"activation": activation})
    legal = [edge for edge, op in model.spec.edges.items() if op.parametrised]
    assert len(plan.candidates) + len(plan.not_growable) == len(legal)
    assert found or activation == "identity"
    for candidate in found.values():
        edge = candidate.trial.change.structure.removed_edges[0]
        grown = inserted(model, candidate.trial.scaled(0.0))
        assert edge not in grown.spec.edges
        old, new = written(model, x, edge.target), written(grown, x, edge.target)
        tolerance = 1e-10 if activation in EXACT | SHIFTED else TANH
        assert float((new - old).abs().max()) <= tolerance * float(old.square().mean().sqrt())
        silent = inserted(model, candidate.trial.scaled(candidate.amplitude, silent=True))
        assert_same_function(written(silent, x, edge.target), new, SOLVED)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_in_float32(activation):
    model, x, y = setting(GRAPHS["narrowing convolution"], torch.float32)
    _, found = layers(model, x, y, new_node={"activation": activation})
    assert found
    for candidate in found.values():
        edge = candidate.trial.change.structure.removed_edges[0]
        old, new = (written(m, x, edge.target) for m in (model, inserted(model, candidate.trial.scaled(0.0))))
        tolerance = 2e-5 if activation in EXACT | SHIFTED else 2 * TANH
        assert float((new - old).abs().max()) <= tolerance * float(old.square().mean().sqrt())


def test_selu_is_exact_within_five_root_mean_squares_only():
    """Further out than the data the function is another."""
    model, x, y = setting(GRAPHS["narrows"])
    _, found = layers(model, x, y, new_node={"activation": "selu"})
    candidate = found["x -> h"]
    grown = inserted(model, candidate.trial.scaled(0.0))
    for far, same in ((1, True), (2, True), (20, False)):
        old, new = (written(m, far * x, "h") for m in (model, grown))
        assert torch.allclose(new, old, rtol=0, atol=1e-10) == same


@pytest.mark.parametrize("kind", ["edge", "node", "layer", "widen"])
@pytest.mark.parametrize("method", ["tiny", "nonlinear"])
def test_a_silent_insertion_does_not_jump(kind, method):
    """Whatever goes with the new weights (non-linear neurons bring updates along) stays out as well."""
    spec = graph(
        {"x": [4]},
        {"h": node(3, "relu"), "k": node(3, "selu"), "y": 2},
        {"x->h": "linear", "h->k": "linear", "k->y": "linear", "h->y": "linear"},
    )
    model, x, _ = setting(spec, samples=60)
    y = torch.stack([x[:, 0] * x[:, 1], x[:, 2].abs()], 1)
    plan = propose(
        model, squared, [(x, y)], candidates=[kind], method=method, neurons=2, shrinkage=0, significance=0,
        with_update=True, max_solved=99, max_searched=99, new_node={"activation": "relu"},
    )  # fmt: skip
    accepted = [candidate for candidate in plan.candidates if not candidate.rejected]
    assert accepted
    for candidate in accepted:
        grown = network(spec, 2).eval()
        apply(grown, candidate, insert="zero_fan_out_unscaled")
        assert_same_function(grown(x), model(x), SOLVED)
        assert grown.spec != model.spec
        # It is not dead: the loss has a slope in something new.
        squared(grown(x), y).backward()
        known = dict(model.named_parameters())
        new = [p for n, p in grown.named_parameters() if n not in known or p.shape != known[n].shape]
        assert any(bool((p.grad != 0).any()) for p in new)


def test_activations_are_used_where_they_are_lines():
    """Of the pairs, by their definition; of others, at the values where they are used."""
    z = normal(50, seed=1)
    for act in ACTIVATIONS.values():
        if act.line == "pairs":
            close = (act.function(z) - act.function(-z)) / (act.slope_left + act.slope_right)
        elif act.line == "shifted":
            close = (act.function(z + 5) - act.function(torch.full_like(z, 5))) / act.slope_right
        elif act.line == "exact":
            close = act.function(z)
        else:
            close = act.function(1e-4 * z) / 1e-4 / act.slope_right
        torch.testing.assert_close(close, z, rtol=1e-6, atol=1e-12)
    assert {act.name for act in ACTIVATIONS.values() if act.line == "small"} == {"tanh"}
