"""Methods whose neurons change nothing when they enter: GradMax, NORTH, Net2Net (thesis 4.1)."""

import copy
from dataclasses import replace

import pytest
import torch
from reference_checks import collected
from reference_network import batches, graph, inputs_for, inserted, mean_loss, network, normal, squared
from test_promised_gains import setting
from zoo import BARE, conv, node
from zoo import GROWING as ZOO

from dagrow.errors import GrowthError
from dagrow.planner import apply, propose
from dagrow.statistics import IndexedBatches

SMOOTH = {
    "linear": graph({"x": [5]}, {"h": node(2, "tanh"), "y": 3}, {"x->h": "linear", "h->y": "linear"}),
    "two parents, two children": graph(
        {"x": [4], "z": [3]},
        {"h": 2, "y": 2, "w": 3},
        {"x->h": "linear", "z->h": "linear", "h->y": "linear", "h->w": BARE},
        ["y", "w"],
    ),
    "tokens": graph(
        {"x": [3, 4]},
        {"h": node(2, "tanh"), "y": node(3, pool="global_average")},
        {"x->h": "linear", "h->y": "linear"},
    ),
    "convolution, global average": graph(
        {"x": [2, 5, 5]},
        {"h": node(2, "tanh"), "y": node(3, pool="global_average")},
        {"x->h": conv(padding="same"), "h->y": conv(padding=1)},
    ),
    "strides and dilation": graph(
        {"x": [2, 9, 9]},
        {"h": node(2), "y": node(3, pool="global_average")},
        {"x->h": conv(kernel=3, stride=2, padding=1), "h->y": conv(kernel=[3, 2], dilation=[1, 2], bias=False)},
    ),
    "average pool, flatten": graph(
        {"x": [2, 6, 6]},
        {"h": node(2, pool={"kind": "average", "kernel": 2}, flatten=True), "y": 3},
        {"x->h": conv(padding=1), "h->y": "linear"},
    ),
    "relu": graph({"x": [5]}, {"h": node(2, "relu"), "y": 3}, {"x->h": "linear", "h->y": "linear"}),
}


def data_of(model, samples=60):
    x = inputs_for(model.spec, samples, seed=2)
    y = tuple(normal(samples, *model.dag.output(name), seed=9 + i) for i, name in enumerate(model.spec.outputs))
    return batches(x, y if len(y) > 1 else y[0], [samples // 3, samples - samples // 3])


def unit_lengths(model, data):
    """The root mean square of what each fan-in weight of h reads, in the shape of one neuron's weight and bias."""
    found = collected(model, squared, IndexedBatches(data, model), sites=["h"])
    parts = found.layouts["h"].split_fan_in(found.sites["h"].lengths.unsqueeze(1), torch.float64)
    keys = ("weight", "bias")
    return {f"h.from_{e.source}.{key}": part for e, both in parts.items() for key, part in zip(keys, both, strict=True)}


def fan_in_gradient(model, change, data):
    """The norm of the loss's gradient by all new fan-in weights, on features of root mean square 1, per new neuron."""
    lengths = unit_lengths(model, data)
    grown = inserted(model, change)
    size = model.dag.size("h")
    samples = sum(len(x[0]) for x, _ in data)
    sum(squared(grown(*x), y) * len(x[0]) / samples for x, y in data).backward()
    squares = 0.0
    for name, parameter in grown.named_parameters():
        if name.startswith("h.from_"):
            own = parameter.grad[size:] / lengths[name]
            squares = squares + own.square().reshape(len(own), -1).sum(1)
    return squares.sqrt()


def biased_once(spec):
    """Edges that share the constant would count its gradient each: the others lose their bias."""
    edges, seen = {}, set()
    for edge, op in spec.edges.items():
        first = edge.target not in seen
        seen.add(edge.target)
        edges[edge] = op if first else op.model_copy(update={"bias": False})
    return spec.model_copy(update={"edges": spec.edges.replacing(edges)})


def gradmax(model, data, neurons):
    return propose(
        model, squared, data, method="gradmax", nodes=["h"], neurons=neurons, shrinkage=0, significance=0
    ).best


@pytest.mark.parametrize("name", SMOOTH)
def test_gradmax_has_the_gradient_it_promises(name):
    model = network(biased_once(SMOOTH[name]))
    data = data_of(model)
    best = gradmax(model, data, neurons=2)
    assert fan_in_gradient(model, best.trial.scaled(1.0), data).tolist() == pytest.approx(best.scores, rel=1e-6)


@pytest.mark.parametrize("name", SMOOTH)
def test_no_random_fan_out_of_that_length_has_more_gradient(name):
    model = network(biased_once(SMOOTH[name]))
    data = data_of(model)
    change = gradmax(model, data, neurons=1).trial.scaled(1.0)
    own = change.features.fan_out
    most = float(fan_in_gradient(model, change, data))
    for seed in range(10):
        drawn = {edge: normal(*w.shape, seed=seed + 20 * i) for i, (edge, w) in enumerate(own.items())}
        ratio = length(own) / length(drawn)
        rival = replace(change.features, fan_out={edge: ratio * w for edge, w in drawn.items()})
        assert float(fan_in_gradient(model, replace(change, features=rival), data)) < most * (1 + 1e-9)


def length(fan_out):
    """Over all children."""
    return sum(float(w.square().sum()) for w in fan_out.values()) ** 0.5


def test_the_fan_outs_of_gradmax_are_as_long_as_those_that_are_there():
    model = network(SMOOTH["linear"])
    best = gradmax(model, data_of(model), neurons=2)
    (new,) = best.trial.scaled(1.0).features.fan_out.values()
    old = model.get_parameter("y.from_h.weight").detach()
    assert new.norm(dim=0).tolist() == pytest.approx(2 * [float(old.norm(dim=0).mean())])
    assert float((new.T @ new)[0, 1].abs()) < 1e-12


def test_gradmax_is_refused_where_a_fan_in_of_0_is_not_silent():
    """Softplus is ln 2 at 0: new units would change the function, and nobody has measured by how much."""
    edges = {"x->h": "linear", "h->k": "linear", "k->y": "linear"}
    both = network(graph({"x": [5]}, {"h": node(2, "softplus"), "k": node(2, "softplus"), "y": 3}, edges))
    with pytest.raises(GrowthError, match="'gradmax' starts neurons with a fan-in of 0: .* not softplus; allowed: "):
        propose(both, squared, data_of(both), method="gradmax")
    one = network(graph({"x": [5]}, {"h": node(2, "softplus"), "k": node(2, "relu"), "y": 3}, edges))
    plan = propose(one, squared, data_of(one), method="gradmax")
    reasons = {candidate.place: candidate.rejected for candidate in plan.candidates}
    assert reasons["h"] == "its neurons start with a fan-in of 0, and 'softplus' of 'h' is not 0 there"
    assert plan.best.place == "k"
    assert plan.best.gain == pytest.approx(0, abs=1e-9)
    # With a fan-in, and a fan-out of 0, new units are silent behind any activation.
    assert propose(both, squared, data_of(both), method="north_weights").best is not None


@pytest.mark.parametrize("where", ["bias", "norm", "nothing"])
def test_gradmax_behind_a_relu_is_not_dead(where):
    """Torch's relu passes no gradient at exactly 0."""
    h = node(2, "relu", norm="batch") if where == "norm" else node(2, "relu")
    spec = graph({"x": [5]}, {"h": h, "y": 3}, {"x->h": "linear" if where == "bias" else BARE, "h->y": "linear"})
    model = network(spec)
    data = data_of(model)
    best = gradmax(model, data, neurons=2)
    before = mean_loss(model, squared, data)
    assert float(fan_in_gradient(model, best.trial.scaled(1.0), data).min()) > 1e-3 * before
    apply(model, best)
    assert mean_loss(model, squared, data) == pytest.approx(before, rel=1e-10)


def fan_ins(model, name):
    """Rows of all weights and biases into a node."""
    into = [parameter.detach() for key, parameter in model.named_parameters() if key.startswith(f"{name}.from_")]
    return torch.cat([p.flatten(1) if p.dim() > 1 else p.unsqueeze(1) for p in into], 1)


@pytest.mark.parametrize("name", ["mlp", "tokens", "convolution, pool, flatten", "strides and dilation"])
def test_north_draws_from_the_kernel_of_the_fan_ins(name):
    """Fan-ins on features of root mean square 1: the unit of the inputs says nothing."""
    model, data = setting(ZOO[name])
    unit = torch.cat([part.flatten() for part in unit_lengths(model, data).values() if part is not None])
    size = model.dag.size("h")
    apply(model, propose(model, squared, data, method="north_weights", nodes=["h"], neurons=3, shrinkage=0).best)
    rows = fan_ins(model, "h") * unit
    lengths = rows.norm(dim=1)
    assert lengths[size:].tolist() == pytest.approx(3 * [float(lengths[:size].mean())])
    cosines = rows[size:] @ rows.T / lengths / lengths[size:].unsqueeze(1)
    torch.testing.assert_close(cosines, torch.eye(size + 3, dtype=rows.dtype)[size:], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["mlp", "skip", "tokens"])
def test_north_draws_from_the_kernel_of_the_pre_activations(name):
    model, data = setting(ZOO[name])
    size = model.dag.size("h")
    best = propose(model, squared, data, method="north_activations", nodes=["h"], neurons=2, shrinkage=0).best
    apply(model, best)
    weight, bias = (model.get_parameter(f"h.from_x.{key}").detach() for key in ("weight", "bias"))
    a = torch.cat([x[0] @ weight.T + bias for x, _ in data]).flatten(0, -2)
    cosines = a.T @ a / a.norm(dim=0) / a.norm(dim=0).unsqueeze(1)
    torch.testing.assert_close(cosines[size:], torch.eye(size + 2, dtype=a.dtype)[size:], rtol=0, atol=1e-8)


@pytest.mark.parametrize("method", ["north_weights", "north_activations"])
def test_north_says_when_nothing_is_left(method):
    spec = graph({"x": [2]}, {"h": node(4, "tanh"), "y": 1}, {"x->h": "linear", "h->y": "linear"})
    model = network(spec)
    plan = propose(model, squared, data_of(model), method=method)
    assert plan.best is None
    assert plan.candidates[0].rejected == "the existing neurons leave no direction free"


@pytest.mark.share(0.17)
@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("method", ["gradmax", "north_weights", "north_activations", "net2net"])
@pytest.mark.parametrize("name", ZOO)
def test_nothing_changes_when_they_enter(name, method, train):
    """Outputs of the grown network are those of the network, at every node that can grow, three neurons at once."""
    model, data = setting(ZOO[name])
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if ".norm." in parameter_name:
                parameter.add_(0.3 * normal(*parameter.shape, seed=len(parameter_name)))
    plan = propose(model.train(train), squared, data, method=method, neurons=3, shrinkage=0, copy_noise=0)
    assert any(not candidate.rejected for candidate in plan.candidates)
    for candidate in plan.candidates:
        if candidate.rejected:
            continue
        assert candidate.gain == pytest.approx(0.0, abs=1e-9 * plan.loss)
        for insert in ("amplitude", "zero_fan_out_unscaled"):
            grown = copy.deepcopy(model)
            apply(grown, candidate, insert=insert)
            assert grown.dag.size(candidate.place) == model.dag.size(candidate.place) + candidate.neurons
            for x, _ in data:
                torch.testing.assert_close(copy.deepcopy(grown)(*x), copy.deepcopy(model)(*x), rtol=1e-9, atol=1e-9)


def test_noise_tells_copies_apart():
    model, data = setting(ZOO["mlp"])
    exact, noisy = (
        propose(model, squared, data, method="net2net", nodes=["h"], copy_noise=n).best for n in (0.0, 0.05)
    )
    (same,), (other,) = (list(c.trial.change.features.fan_in.values()) for c in (exact, noisy))
    old = model.get_parameter("h.from_x.weight")
    assert all(any(torch.equal(row, there) for there in old) for row in same[0])
    away = (other[0] - same[0]).norm() / same[0].norm()
    assert 0.01 < float(away) < 0.2


def test_copies_share_a_fan_out_whatever_their_number():
    """Five new neurons of two: some neuron is there three times or more, and each copy writes as much."""
    model, data = setting(ZOO["mlp"])
    old = model.get_parameter("k.from_h.weight").detach().clone()
    apply(model, propose(model, squared, data, method="net2net", nodes=["h"], neurons=5, copy_noise=0).best)
    rows, columns = fan_ins(model, "h"), model.get_parameter("k.from_h.weight").detach()
    for j in range(2):
        same = (rows == rows[j]).all(1)
        assert int(same.sum()) >= 3
        for column in columns[:, same].T:
            torch.testing.assert_close(column * int(same.sum()), old[:, j])


@pytest.mark.parametrize("activation", ["relu", "selu", "gelu"])
def test_net2net_deepens_without_changing_the_function(activation):
    model, data = setting(ZOO["mlp"])
    plan = propose(model, squared, data, method="net2net", candidates=("layer",), new_node={"activation": activation})
    assert plan.best is not None
    for candidate in plan.candidates:
        grown = copy.deepcopy(model)
        apply(grown, candidate)
        assert len(grown.spec.nodes) == len(model.spec.nodes) + 1
        for x, _ in data:
            torch.testing.assert_close(grown(*x), model(*x), rtol=1e-9, atol=1e-9)


def test_net2net_refuses_layers_that_would_change_the_function():
    model, data = setting(ZOO["mlp"])
    plan = propose(model, squared, data, method="net2net", candidates=("layer",), new_node={"activation": "tanh"})
    assert {c.rejected for c in plan.candidates} == {"'tanh' keeps a function nearly, not exactly"}
