"""Whole iterations of Algorithms 1 and 2 as dagrow makes them: step, shrinkage, removal, addition."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_adarad import Loops, shrunk
from tolerances import assert_same_function
from torch import Tensor, nn

from dagrow.build import Network, build
from dagrow.contrib.nonparametric import nonparametric_problems, unit_fan_ins
from dagrow.contrib.nonparametric.shrinkage import group_factor, soft_threshold
from dagrow.contrib.nonparametric.unit_turnover import UnitTurnover, remove_zero_units, shrink
from dagrow.objectives import OPTIMIZERS
from dagrow.spec import PenaltySpec, RunSpec
from dagrow.training.state import RunState

LAYERS = ("h.from_x", "k.from_h", "y.from_k")


def run(bias: bool = False, **fields) -> RunSpec:
    edge = {"op": "linear", "bias": bias}
    graph = {
        "inputs": {"x": {"shape": [5]}},
        "nodes": {"h": {"size": 6, "activation": "relu"}, "k": {"size": 5, "activation": "relu"}, "y": {"size": 3}},
        "edges": {"x -> h": edge, "h -> k": edge, "k -> y": edge},
        "outputs": ["y"],
    }
    return RunSpec.model_validate({"graph": graph, **fields})


def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(40, 5, generator=generator, dtype=torch.float64)
    return x, torch.randn(40, 3, generator=generator, dtype=torch.float64)


def weights_of(model: Network) -> list[Tensor]:
    """As the paper has them: a column per fan-in."""
    return [model.get_parameter(f"{layer}.weight").detach().T.clone() for layer in LAYERS]


def gradient(weights: list[Tensor]) -> list[Tensor]:
    x, y = data()
    leaves = [W.detach().clone().requires_grad_() for W in weights]
    h = torch.relu(torch.relu(x @ leaves[0]) @ leaves[1])
    return list(torch.autograd.grad((h @ leaves[2] - y).square().mean(), leaves))


@pytest.mark.parametrize("name", ["adarad", "adarad_m"])
def test_iterations_are_those_of_the_loops(name):
    """Lines 8 to 25 of Algorithm 1, and of Algorithm 2, over a net that shrinks and grows."""
    strength, radial_lr = 0.16, 0.3
    spec = run(
        training={"penalty": {"strength": strength}},
        growth={"continuous_growth": {"rate": 2, "every": 0.5}},
    )
    model = build(spec.graph, seed=1).double()
    options = {"lr": 0.5, "radial_lr": radial_lr, "beta": 0.05}
    optimizer = OPTIMIZERS[name](model.parameters(), **options)
    group = optimizer.param_groups[0]
    loops = Loops(
        weights_of(model), gradient, radial_lr, 0.5, 0.05, group["eps"], group.get("momentum_beta"),
        shrinkage=radial_lr * strength, removal=True,
    )  # fmt: skip
    x, y = data()
    traffic = UnitTurnover(spec, model, optimizer, epoch=0, batches=6)
    removed = 0
    for _ in range(14):
        before = traffic.added.copy()
        optimizer.zero_grad()
        (model(x) - y).square().mean().backward()
        optimizer.step()
        traffic.after_batch()
        new = {0: traffic.added["h"] - before["h"], 1: traffic.added["k"] - before["k"]}
        found = weights_of(model)
        columns = {layer: found[layer][:, -count:] for layer, count in new.items() if count}
        if 0 in columns:
            # Layer 2 gets its columns before layer 1 grows: they have no entries of its new units yet.
            columns[1] = columns[1][: -new[0]]
        loops.iteration(columns)
        for W, wanted in zip(found, loops.W, strict=True):
            torch.testing.assert_close(W, wanted, rtol=1e-10, atol=1e-10)
        removed = sum(traffic.removed.values())
    assert sum(traffic.added.values()) == 16
    assert removed > 4
    if name == "adarad_m":
        for layer, tilde in zip(LAYERS, loops.phi_tilde, strict=True):
            parameter = model.get_parameter(f"{layer}.weight")
            momentum = optimizer.state[parameter]["momentum"].T
            # Line 33 is made by the next step: what it takes off points along the fan-in.
            along = nn.functional.normalize(parameter.detach().T, dim=0)
            left = momentum - (momentum * along).sum(0) * along
            torch.testing.assert_close(left, tilde, rtol=0, atol=1e-10)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=1, max_size=6), st.floats(0, 4))
def test_shrinkage_of_a_group_is_the_proximal_step(values, amount):
    """The minimum of ``||x - w||^2 / 2 + amount ||x||_p``, for p = 2 and p = 1: no point beside it is better."""
    w = torch.tensor(values, dtype=torch.float64)
    group, single = w * group_factor(w.square().sum(), amount), soft_threshold(w, amount)
    torch.testing.assert_close(group, shrunk(w, amount), rtol=1e-12, atol=1e-12)
    generator = torch.Generator().manual_seed(0)
    for found, p in ((group, 2), (single, 1)):
        least = (found - w).square().sum() / 2 + amount * found.norm(p)
        for scale in (1e-4, 1e-2, 1.0):
            x = found + scale * torch.randn(len(w), generator=generator, dtype=torch.float64)
            assert float((x - w).square().sum() / 2 + amount * x.norm(p) - least) > -1e-12


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("side", ["fan_in", "fan_out"])
def test_every_unit_is_shrunk_once(side, p):
    """Equations 2 and 3: columns of all weights for fan-ins, rows for fan-outs, inputs and outputs included."""
    model = build(run().graph, seed=1).double()
    before = weights_of(model)
    shrink(model, PenaltySpec(side=side, p=p, strength=0.4), 0.5)
    for W, found in zip(before, weights_of(model), strict=True):
        sides = [W[:, j] for j in range(W.shape[1])] if side == "fan_in" else list(W)
        if p == 1:
            wanted = [torch.stack([v.sign() * max(abs(v) - 0.2, 0.0) for v in unit]) for unit in sides]
        else:
            wanted = [shrunk(unit, 0.2) for unit in sides]
        torch.testing.assert_close(found, torch.stack(wanted, dim=1 if side == "fan_in" else 0), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("side", ["fan_in", "fan_out"])
def test_zero_units_are_removed_and_the_function_stays(side):
    model = build(run(bias=True).graph, seed=1).double()
    x, _ = data()
    with torch.no_grad():
        for unit in (1, 4):
            if side == "fan_in":
                model.h.from_x.weight[unit], model.h.from_x.bias[unit] = 0.0, 0.0
            else:
                model.k.from_h.weight[:, unit] = 0.0
    kept = model.h.from_x.weight.detach()[[0, 2, 3, 5]]
    before = model(x)
    assert remove_zero_units(model, side) == {"h": 2}
    assert model.dag.size("h") == 4
    assert torch.equal(model.h.from_x.weight, kept)
    assert_same_function(model(x), before)
    assert remove_zero_units(model, side) == {}


def test_a_unit_with_a_bias_is_no_zero_unit():
    model = build(run(bias=True).graph, seed=1)
    with torch.no_grad():
        model.h.from_x.weight[1] = 0.0
    assert remove_zero_units(model, "fan_in") == {}


def test_one_unit_stays():
    model = build(run().graph, seed=1)
    with torch.no_grad():
        model.h.from_x.weight.zero_()
    assert remove_zero_units(model, "fan_in") == {"h": 5}
    assert model.dag.size("h") == 1


def test_fractions_are_means_of_poisson_numbers():
    spec = run(growth={"continuous_growth": {"rate": 0.7}, "budget": {"parameters": 100_000}})
    model = build(spec.graph, seed=1)
    optimizer = torch.optim.SGD(model.parameters())
    counts = []
    for epoch in range(60):
        traffic = UnitTurnover(spec, model, optimizer, epoch=epoch, batches=1)
        traffic.after_batch()
        counts += [traffic.added["h"], traffic.added["k"]]
    assert sum(counts) / len(counts) == pytest.approx(0.7, abs=0.25)
    assert len(set(counts)) >= 3
    assert model.dag.size("h") + model.dag.size("k") == 11 + sum(counts)


def test_units_are_added_at_their_times_and_within_the_budget():
    spec = run(growth={"continuous_growth": {"every": 0.5, "until": 2}, "budget": {"parameters": 110}})
    model = build(spec.graph, seed=1)
    optimizer = torch.optim.SGD(model.parameters())
    times = []
    for epoch in range(3):
        traffic = UnitTurnover(spec, model, optimizer, epoch=epoch, batches=4)
        for _ in range(4):
            before = traffic.added.copy()
            traffic.after_batch()
            times.append(dict(traffic.added - before))
    # 75 parameters; a unit of k costs 6 + 3, one of h 5 + 6 at first.
    assert times == [{}, {"h": 1, "k": 1}, {}, {"k": 1}, *[{}] * 8]
    assert sum(p.numel() for p in model.parameters()) == 105


def objective(weights: list[Tensor], strengths: list[float], p: int) -> Tensor:
    """Equations 1 and 2, with a lambda for each layer."""
    x, y = data()
    for number, W in enumerate(weights):
        x = x @ W if number == len(weights) - 1 else torch.relu(x @ W)
    penalty = sum(s * W.norm(p, dim=0).sum() for s, W in zip(strengths, weights, strict=True))
    return (x - y).square().mean() + penalty


@pytest.mark.parametrize("p", [1, 2])
def test_proposition_1_strengths_of_layers_are_one_strength_up_to_rescaling(p):
    """``W_l`` times ``lambda_l / lambda``, lambda the geometric mean: the same loss and the same penalty."""
    weights, strengths = weights_of(build(run().graph, seed=1).double()), [0.4, 0.02, 0.1]
    one = (0.4 * 0.02 * 0.1) ** (1 / 3)
    rescaled = [W * s / one for W, s in zip(weights, strengths, strict=True)]
    torch.testing.assert_close(
        objective(weights, strengths, p), objective(rescaled, [one] * 3, p), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("side", ["fan_in", "fan_out"])
def test_each_layer_has_its_own_strength(side, p):
    """As if each were penalised alone, at its strength; with 0 it stays as it is."""
    strengths = {"h": 0.3, "k": 0.0} if side == "fan_in" else {"x": 0.3, "h": 0.0}
    penalty = PenaltySpec(side=side, p=p, strength=0.1, node_strengths=strengths)
    model = build(run().graph, seed=1).double()
    before = weights_of(model)
    shrink(model, penalty, 0.5)
    for W, found, strength in zip(before, weights_of(model), (0.3, 0.0, 0.1), strict=True):
        sides = [W[:, j] for j in range(W.shape[1])] if side == "fan_in" else list(W)
        amount = 0.5 * strength
        wanted = [soft_threshold(v, amount) if p == 1 else shrunk(v, amount) for v in sides]
        torch.testing.assert_close(found, torch.stack(wanted, dim=1 if side == "fan_in" else 0), rtol=1e-12, atol=1e-14)
        if strength == 0.0:
            assert torch.equal(found, W)


@pytest.mark.parametrize(("side", "name"), [("fan_in", "x"), ("fan_in", "kk"), ("fan_out", "y")])
def test_a_strength_of_units_that_are_not_penalised_is_refused(side, name):
    spec = run(training={"penalty": {"side": side, "node_strengths": {name: 0.1}}})
    (problem,) = nonparametric_problems(spec)
    assert problem.path == ("training", "penalty", "node_strengths", name)
    assert f"'{name}' has no {side} that is penalised" in problem.message


def test_starting_weights_are_those_of_table_3():
    """Normal, of variance one over the features that a unit reads over all its edges; biases 0."""
    graph = {
        "inputs": {"x": {"shape": [40]}, "z": {"shape": [60]}},
        "nodes": {"h": {"size": 400, "activation": "relu"}, "c": {"merge": "concat"}, "y": {"size": 3}},
        "edges": {"x -> h": "linear", "z -> h": "linear", "h -> c": "identity", "x -> c": {"op": "linear", "size": 5},
                  "c -> y": "linear"},
        "outputs": ["y"],
    }  # fmt: skip
    models = [build(RunSpec.model_validate({"graph": graph}).graph, seed=seed).double() for seed in (0, 1, 0)]
    for model, seed in zip(models, (3, 3, 4), strict=True):
        unit_fan_ins(model, seed)
    first, same, other = (torch.cat([model.h.from_x.weight, model.h.from_z.weight], 1).detach() for model in models)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert not any(parameter.any() for name, parameter in models[0].named_parameters() if name.endswith("bias"))
    assert float(first.square().sum(1).mean()) == pytest.approx(1.0, abs=0.03)
    assert float(first.mean()) == pytest.approx(0.0, abs=0.005)
    assert float(models[0].c.from_x.weight.detach().square().sum(1).mean()) == pytest.approx(1.0, abs=0.5)


def test_a_run_starts_from_them_where_it_says_so():
    device = torch.device("cpu")
    spec = run(training={"initial_weights": "unit_fan_ins", "dtype": "float64"}, seed=5)
    state = RunState.fresh(spec, device)
    wanted = build(spec.graph, seed=5)
    unit_fan_ins(wanted, 5)
    torch.testing.assert_close(state.network.h.from_x.weight, wanted.h.from_x.weight.double(), rtol=0, atol=0)
    plain = RunState.fresh(run(seed=5), device)
    assert torch.equal(plain.network.h.from_x.weight, build(spec.graph, seed=5).h.from_x.weight)


def test_no_unit_is_added_to_a_node_that_is_full():
    spec = run(growth={"continuous_growth": {"rate": 3, "every": 0.5}, "max_width": 7})
    model = build(spec.graph, seed=1)
    traffic = UnitTurnover(spec, model, torch.optim.SGD(model.parameters()), epoch=0, batches=2)
    traffic.after_batch()
    assert dict(traffic.added) == {"h": 1, "k": 2}
    traffic.after_batch()
    assert dict(traffic.added) == {"h": 1, "k": 2}
