"""Removing an edge or a node: what remains takes over what it can, by least squares, and the limit is kept."""

import copy

import numpy as np
import pytest
import torch
from reference_network import batches, graph, mean_loss, network, normal, squared
from zoo import conv, node

from dagrow.build import merged, output, probe
from dagrow.planner import apply, propose

BARE = {"op": "linear", "bias": False}


def wired(first="linear", second="linear", third="linear"):
    """y reads x, h and k."""
    return graph(
        {"x": [4]},
        {"h": node(2, "tanh"), "k": node(3, "relu"), "y": 2},
        {"x->h": "linear", "h->k": "linear", "x->y": first, "h->y": second, "k->y": third},
    )


def values(model, x, names):
    with torch.no_grad():
        found = probe(model, model.dag, list(names))(*x)
    return dict(zip(names, found[len(model.spec.outputs) :], strict=True))


def removals(model, data, limit=1e9, **options):
    plan = propose(model, squared, data, candidates=["remove"], prune_tolerance=limit, **{"shrinkage": 0, **options})
    return {candidate.place: candidate for candidate in plan.candidates}, plan


def setting(spec, samples=80, seed=1):
    model = network(spec, seed).eval()
    x = tuple(normal(samples, *entry.shape, seed=5 + i) for i, entry in enumerate(spec.inputs.values()))
    y = normal(samples, *model.dag.output("y"), seed=9)
    return model, x, batches(x, y, [samples - 30, 30])


def unfolded(x, op):
    """Rows of features as an edge reads them: vectors as they are, maps as patches."""
    if op.name == "linear":
        return x.numpy()
    patches = torch.nn.functional.unfold(x, op.kernel, op.dilation, op.padding, op.stride)
    return patches.transpose(1, 2).flatten(0, 1).numpy()


def written(z):
    return (z if z.dim() == 2 else z.flatten(2).transpose(1, 2).flatten(0, 1)).numpy()


def expected(model, x, child, gone):
    """What the child merges once the edges ``gone`` are replaced by the best fit, from numpy's own least squares."""
    edges = [edge for edge in model.dag.incoming[child] if model.dag.op(edge).parametrised]
    found = values(model, x, [merged(child), *(output(e.source) for e in edges if e.source not in model.spec.inputs)])
    known = dict(zip(model.spec.inputs, x, strict=True))
    known.update({value.node: part for value, part in found.items() if value.stage == "output"})
    total, rest, lost = written(found[merged(child)]), [], 0
    state = model.state_dict()
    for edge in edges:
        op, B = model.dag.op(edge), unfolded(known[edge.source], model.dag.op(edge))
        if edge in gone:
            W, bias = (state.get(f"{child}.from_{edge.source}.{key}") for key in ("weight", "bias"))
            lost = lost + B @ W.flatten(1).numpy().T + (0 if bias is None else bias.numpy())
        else:
            rest.append(B)
            rest += [np.ones((len(B), 1))] if op.has_bias else []
    B = np.hstack(rest)
    return total - lost + B @ np.linalg.lstsq(B, lost, rcond=None)[0]


GRAPHS = {
    "biases": wired(),
    "one bias": wired("linear", BARE, BARE),
    "only the lost one has a bias": wired(BARE, "linear", BARE),
    "no bias": wired(BARE, BARE, BARE),
    "maps": graph(
        {"x": [2, 5, 5]},
        {"h": node(2, "relu"), "k": node(3, "selu"), "y": node(2, pool="global_average")},
        {
            "x->h": conv(padding=1),
            "h->k": conv(kernel=1),
            "x->y": conv(kernel=3),
            "h->y": conv(kernel=3, bias=False),
            "k->y": conv(kernel=1, padding=0, stride=1, bias=False) | {"kernel": 3},
        },
    ),
}


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("place", ["h -> y", "x -> y", "k"])
def test_what_remains_is_the_least_squares_fit(name, place):
    model, x, data = setting(GRAPHS[name])
    found, plan = removals(model, data)
    candidate = found[place]
    gone = [edge for edge in model.dag.incoming["y"] if str(edge) == place or edge.source == place]
    wanted = expected(model, x, "y", gone)
    grown = copy.deepcopy(model)
    apply(grown, candidate)
    assert not set(gone) & set(grown.spec.edges)
    assert ("k" in grown.spec.nodes) == (place != "k")
    np.testing.assert_allclose(written(values(grown, x, [merged("y")])[merged("y")]), wanted, rtol=0, atol=1e-8)
    assert plan.loss - mean_loss(grown, squared, data) == pytest.approx(candidate.gain, rel=1e-6)
    assert candidate.cost.parameters < 0


def test_what_holds_the_graph_together_stays():
    model, _, data = setting(GRAPHS["biases"])
    found, plan = removals(model, data)
    reasons = {place.node: place.reason for place in plan.not_growable}
    assert set(found) == {"x -> y", "h -> y", "k"}
    # x is the only way to h, k leads nowhere but to y, and y is the output.
    assert set(reasons) == {"x -> h", "h -> k", "k -> y", "h"}
    assert all(reasons.values())


def test_a_node_with_several_children():
    """Each child is compensated by what it reads besides."""
    spec = graph(
        {"x": [5]},
        {"h": node(3, "tanh"), "g": node(3, "relu"), "y": 2, "w": 3},
        {"x->h": "linear", "x->g": "linear", "h->y": "linear", "g->y": "linear", "h->w": BARE, "g->w": "linear"},
        ["y", "w"],
    )
    model = network(spec, 1).eval()
    x = (normal(60, 5, seed=5),)
    data = batches(x, (normal(60, 2, seed=6), normal(60, 3, seed=7)), [60])
    candidate = removals(model, data)[0]["h"]
    wanted = {v: expected(model, x, v, [e for e in model.dag.incoming[v] if e.source == "h"]) for v in ("y", "w")}
    grown = copy.deepcopy(model)
    apply(grown, candidate)
    assert "h" not in grown.spec.nodes
    for v, value in values(grown, x, [merged("y"), merged("w")]).items():
        np.testing.assert_allclose(value.numpy(), wanted[v.node], rtol=0, atol=1e-9)


def test_what_is_redundant_goes_for_nothing():
    """A node that another one repeats, and an edge that a chain of linear nodes repeats."""
    spec = graph(
        {"x": [4]},
        {"h": node(3, "tanh"), "g": node(3, "tanh"), "m": node(4), "y": 2},
        {f"x->{v}": "linear" for v in "hgm"} | {f"{u}->y": "linear" for u in "hgm"} | {"x->y": BARE},
    )
    model, _, data = setting(spec)
    with torch.no_grad():
        model.g.from_x.weight.copy_(2 * model.h.from_x.weight.flip(0) / 2)
        model.g.from_x.bias.copy_(model.h.from_x.bias.flip(0))
    found, plan = removals(model, data, limit=1e-9)
    for place in ("h", "g", "x -> y", "m"):
        assert not found[place].rejected
        assert found[place].gain == pytest.approx(0, abs=1e-10)
    before = mean_loss(model, squared, data)
    apply(model, found["g"])
    assert mean_loss(model, squared, data) == pytest.approx(before, abs=1e-10)
    assert plan.best is not None
    # Now h is all there is of its kind.
    assert removals(model, data, limit=1e-9)[0]["h"].rejected.startswith("the loss would rise by ")


@pytest.mark.parametrize("held_out", [0.0, 0.3])
def test_the_limit_decides(held_out):
    model, _, data = setting(GRAPHS["biases"])
    model_y = [(x, model(*x).detach()) for x, _ in data]
    free, _ = removals(model, model_y, held_out=held_out)
    for place, candidate in free.items():
        rise = -min(candidate.gain, candidate.held_out_gain if held_out else candidate.gain)
        assert rise > 0
        assert removals(model, model_y, 1.01 * rise, held_out=held_out)[0][place].trial is not None
        refused = removals(model, model_y, 0.99 * rise, held_out=held_out)[0][place]
        assert refused.rejected == f"the loss would rise by {rise:.3g}"
        assert refused.trial is None
