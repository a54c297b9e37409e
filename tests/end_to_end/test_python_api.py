"""The Python contract by its names: load, build, propose, apply, grow, export, and their refusals."""

import copy
import functools
import importlib
import math

import pytest
import torch
from command_tools import ROOT
from safetensors.torch import load_file
from tolerances import assert_same_function, rounding
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import dagrow

DIGITS = ROOT / "specs" / "digits.yaml"
GRAPH = """\
graph:
  inputs: {left: {shape: [3]}, right: {shape: [2]}}
  nodes:
    h: {size: 2, activation: tanh}
    k: {size: 1, activation: selu}
    y: {size: 2}
    z: {size: 1}
  edges: {left -> h: linear, right -> k: linear, h -> k: linear, h -> y: linear, k -> y: linear, k -> z: linear}
  outputs: [y, z]
"""


@pytest.fixture
def model(tmp_path):
    """Two inputs, two outputs."""
    (tmp_path / "graph.yaml").write_text(GRAPH)
    return dagrow.build(dagrow.load_graph(tmp_path / "graph.yaml"), seed=3).eval()


def batches(inputs=tuple, targets=tuple, count=4):
    """Batches of (x, y), the parts of each put together as asked."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(count):
        left, right = torch.randn(64, 3, generator=generator), torch.randn(64, 2, generator=generator)
        labels = (left[:, 0] * 2 + right[:, 0] > 0).long()
        found.append((inputs((left, right)), targets((labels, torch.sin(left[:, :1] * 2) + right[:, 1:]))))
    return found


def named(parts):
    return dict(zip(("right", "left"), reversed(parts), strict=True))


def both(output, target):
    return functional.cross_entropy(output[0], target[0]) + functional.mse_loss(output[1], target[1])


def total(model, data, loss=both):
    """The mean loss over all samples."""
    with torch.no_grad():
        sums = [(float(loss(model(*x), y)) * len(x[0]), len(x[0])) for x, y in data]
    return sum(s for s, _ in sums) / sum(n for _, n in sums)


class Curve(TensorDataset):
    """One input, one output, a thing to learn."""

    def __init__(self, count=300):
        x = torch.rand(count, 2, generator=torch.Generator().manual_seed(1)) * 4 - 2
        super().__init__(x, torch.tanh(3 * x[:, :1]) - torch.tanh(2 * x[:, 1:]))


@pytest.fixture
def small(tmp_path):
    text = "graph:\n  inputs: {x: {shape: [2]}}\n  nodes: {h: {size: 1, activation: tanh}, y: {size: 1}}\n"
    (tmp_path / "small.yaml").write_text(text + "  edges: {x -> h: linear, h -> y: linear}\n  outputs: y\n")
    return dagrow.build(dagrow.load_graph(tmp_path / "small.yaml"), seed=0).eval()


def test_propose_apply_and_what_a_plan_says(model):
    data = batches()
    plan = dagrow.propose(model, both, data, neurons=3)
    assert [c.place for c in plan.candidates] == sorted(
        (c.place for c in plan.candidates),
        key=lambda p: -next(c.validation_gain for c in plan.candidates if c.place == p),
    )
    assert {c.place for c in plan.candidates} == {"h", "k"}
    assert plan.best is plan.candidates[0]
    best = plan.best
    assert (best.kind, best.cost.parameters > 0, best.amplitude > 0, best.held_out_gain > 0) == ("widen",) + (True,) * 3
    before = total(model, data)
    assert plan.loss == pytest.approx(before, rel=1e-6)
    table = str(plan)
    assert all(word in table for word in ("place", "gain", "held out", "amplitude", "parameters", "best", "h", "k"))
    assert "y: it is an output" in table
    size = model.spec.nodes[best.place].size
    twin = copy.deepcopy(model)
    dagrow.apply(twin, best)
    assert total(model, data) == before
    assert before - total(twin, data) == pytest.approx(best.gain, rel=1e-4)
    assert twin.spec.nodes[best.place].size == size + best.neurons
    dagrow.apply(model, best)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))


@pytest.mark.parametrize("inputs", [tuple, list, named], ids=["tuple", "list", "dict"])
@pytest.mark.parametrize("targets", [tuple, list], ids=["tuple", "list"])
def test_inputs_and_targets_in_any_wrapping(model, inputs, targets):
    found = dagrow.propose(model, both, batches(inputs, targets)).best
    plain = dagrow.propose(model, both, batches()).best
    assert (found.place, found.gain, found.amplitude) == (plain.place, plain.gain, plain.amplitude)


def test_targets_as_a_dict(model):
    def loss(output, target):
        return both(output, (target["y"], target["z"]))

    data = batches(targets=lambda parts: {"y": parts[0], "z": parts[1]})
    assert dagrow.propose(model, loss, data).best.gain == dagrow.propose(model, both, batches()).best.gain


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_data_loader(small, shuffle):
    loader = DataLoader(Curve(), batch_size=64, shuffle=shuffle)
    state = torch.get_rng_state()
    plan = dagrow.propose(small, functional.mse_loss, loader)
    assert torch.equal(torch.get_rng_state(), state)
    assert plan.samples == 300
    before = total(small, [((x,), y) for x, y in loader], functional.mse_loss)
    dagrow.apply(small, plan.best)
    after = total(small, [((x,), y) for x, y in loader], functional.mse_loss)
    assert before - after == pytest.approx(plan.best.gain, rel=1e-4)


def test_a_data_loader_with_a_generator_of_its_own(small):
    generator = torch.Generator().manual_seed(5)
    loader = DataLoader(Curve(), batch_size=64, shuffle=True, generator=generator)
    state = generator.get_state()
    assert dagrow.propose(small, functional.mse_loss, loader).best.gain > 0
    assert torch.equal(generator.get_state(), state)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (list, "the data are empty"),
        (lambda: [Curve()[:0]], "batch 1 of the data is empty"),
        (lambda: [Curve()[:][0]], "the data must yield (x, y) pairs"),
        (lambda: [((Curve()[:][0],) * 2, Curve()[:][1])], "the graph has 1 inputs (x)"),
        (lambda: [({"left": Curve()[:][0]}, Curve()[:][1])], "the data lack the input 'x'"),
    ],
    ids=["empty", "empty_batch", "no_pairs", "two_inputs", "other_input"],
)
def test_data_that_cannot_be_used(small, data, text):
    before = copy.deepcopy(small.state_dict())
    with pytest.raises(dagrow.DataError) as caught:
        dagrow.propose(small, functional.mse_loss, data())
    assert text in str(caught.value)
    assert all(torch.equal(before[key], value) for key, value in small.state_dict().items())


@pytest.fixture
def no_cache(monkeypatch):
    """As with data too large to be kept: each pass reads them again."""
    module = importlib.import_module("dagrow.planner.propose")
    monkeypatch.setattr(module, "ActivationCache", functools.partial(module.ActivationCache, cache_bytes=0))


def halves():
    x, y = Curve()[:]
    return [(x[:100], y[:100]), (x[100:], y[100:])]


def test_data_that_are_read_again_give_the_same_plan(small, no_cache, monkeypatch):
    again = dagrow.propose(small, functional.mse_loss, halves())
    monkeypatch.undo()
    kept = dagrow.propose(small, functional.mse_loss, halves())
    assert again.best.gain == pytest.approx(kept.best.gain, rel=1e-5)
    # What is kept needs one pass only, so even a generator will do.
    once = dagrow.propose(small, functional.mse_loss, (pair for pair in halves()))
    assert once.best.gain == pytest.approx(kept.best.gain, rel=1e-5)


def test_a_generator_that_would_be_needed_twice(small, no_cache):
    with pytest.raises(dagrow.DataError, match="came to an end: give a list or a DataLoader, not a generator"):
        dagrow.propose(small, functional.mse_loss, (pair for pair in halves()))


def test_data_that_change_from_pass_to_pass(small, no_cache):
    class Noise:
        def __iter__(self):
            x = torch.randn(60, 2, generator=generator)
            yield x, x[:, :1]

    generator = torch.Generator().manual_seed(0)
    with pytest.raises(dagrow.DataError, match="the data change from one pass to the next"):
        dagrow.propose(small, functional.mse_loss, Noise())


@pytest.mark.parametrize("loss", [nn.MSELoss(), functional.l1_loss, lambda o, t: (o - t).abs().pow(3).mean()])
def test_any_callable_is_a_loss(small, loss):
    data = [Curve()[:]]
    plan = dagrow.propose(small, loss, data, shrinkage=0)
    before = float(loss(small(data[0][0]), data[0][1]).detach())
    dagrow.apply(small, plan.best)
    assert before - float(loss(small(data[0][0]), data[0][1]).detach()) == pytest.approx(plan.best.gain, rel=1e-4)


def test_nodes_limits_the_places(model):
    plan = dagrow.propose(model, both, batches(), nodes=["k"])
    assert [candidate.place for candidate in plan.candidates] == ["k"]


@pytest.mark.parametrize("where", ["round_robin", "singular_value", "gain", "gain_per_parameter", "gain_per_mac"])
def test_every_strategy(model, where):
    plan = dagrow.propose(model, both, batches(), where=where)
    assert {candidate.place for candidate in plan.candidates} == {"h", "k"}
    assert plan.best.gain > 0


def test_frozen_weights_stay_frozen_and_moments_go_along(small):
    small.get_parameter("h.from_x.weight").requires_grad_(False)
    trained = [p for p in small.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=0.01)
    x, y = Curve()[:]
    functional.mse_loss(small(x), y).backward()
    optimizer.step()
    moment = optimizer.state[small.get_parameter("y.from_h.weight")]["exp_avg"].clone()
    frozen = small.get_parameter("h.from_x.weight").clone()
    dagrow.apply(small, dagrow.propose(small, functional.mse_loss, [(x, y)]).best, optimizer)
    wider = small.get_parameter("h.from_x.weight")
    assert not wider.requires_grad
    assert torch.equal(wider[:1], frozen)
    assert wider.shape[0] == small.spec.nodes["h"].size > 1
    grown = optimizer.state[small.get_parameter("y.from_h.weight")]["exp_avg"]
    assert torch.equal(grown[:, :1], moment)
    assert not grown[:, 1:].any()
    assert [id(p) for p in optimizer.param_groups[0]["params"]] == [
        id(p) for p in small.parameters() if p.requires_grad
    ]


def test_the_gain_counts_in_the_mode_that_the_model_is_in(tmp_path, long_searches):
    text = "graph:\n  inputs: {x: {shape: [2]}}\n  nodes: {h: {size: 2, norm: batch, activation: tanh}, y: {size: 1}}\n"
    (tmp_path / "normed.yaml").write_text(text + "  edges: {x -> h: linear, h -> y: linear}\n  outputs: y\n")
    model = dagrow.build(dagrow.load_graph(tmp_path / "normed.yaml"), seed=0)
    data = [Curve()[:]]
    for train in (True, False):
        model.train(train)
        plan = dagrow.propose(model, functional.mse_loss, data)
        assert model.training == train
        before = float(functional.mse_loss(copy.deepcopy(model)(data[0][0]), data[0][1]).detach())
        assert plan.loss == pytest.approx(before, rel=1e-6)
        grown = copy.deepcopy(model)
        dagrow.apply(grown, plan.best)
        after = float(functional.mse_loss(grown(data[0][0]), data[0][1]).detach())
        assert before - after == pytest.approx(plan.best.gain, rel=1e-4)


def test_grow_and_export_without_the_command_line(tmp_path):
    run = dagrow.load_run(DIGITS, ["training.final_epochs=1", "growth.budget.steps=1"])
    result = dagrow.grow(run, out=tmp_path / "run")
    assert isinstance(result, dagrow.GrowthResult)
    assert result.out == tmp_path / "run"
    assert [event["event"] for event in result.events if event["event"] not in ("epoch", "checkpoint")] == [
        "start",
        "growth",
        "end",
    ]
    assert "h +" in str(result)
    assert math.isfinite(result.test.loss)
    loaded = dagrow.build(dagrow.load_graph(tmp_path / "run" / "graph.yaml"))
    loaded.load_state_dict(load_file(tmp_path / "run" / "weights.safetensors"))
    x = torch.rand(5, 64)
    assert_same_function(loaded.eval()(x), result.model(x))
    for source in (result.model, tmp_path / "run"):
        written = dagrow.export(source, to="python", out=tmp_path / "plain")
        assert written.max_difference < rounding(torch.float32)
    again = dagrow.grow(run, write=False)
    assert again.out is None
    assert torch.equal(again.model(x), result.model(x))


def test_save_graph_is_read_back(model, tmp_path):
    dagrow.save_graph(model.spec, tmp_path / "saved.yaml")
    assert dagrow.load_graph(tmp_path / "saved.yaml") == model.spec
    assert dagrow.cost(dagrow.Dag.of(model.spec)).parameters == sum(p.numel() for p in model.parameters())
