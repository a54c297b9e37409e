"""Numbers that go wrong: each has a defined end, and nothing bad is ever inserted."""

import copy
import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss
from zoo import chain, node

import dagrow
from dagrow.build import merged
from dagrow.errors import GrowthError, NumbersError
from dagrow.methods import Metric
from dagrow.planner.batch_response import Response
from dagrow.spec import GraphSpec

KINDS = ("widen", "edge", "node", "layer", "update", "remove")


def one_hidden(activation: str = "selu", norm: str = "none") -> GraphSpec:
    return chain(node(2, activation, norm=norm), outputs=3)


def samples(n: int = 120) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, 4, generator=generator), torch.randint(3, (n,), generator=generator)


def look(model: torch.fx.GraphModule, x: Tensor, y: Tensor, loss=cross_entropy, **more) -> dagrow.Plan:
    return dagrow.propose(model, loss, [(x[:80], y[:80]), (x[80:], y[80:])], neurons=2, significance=0, **more)


def check_every_insertion(model: torch.fx.GraphModule, plan: dagrow.Plan, x: Tensor) -> None:
    """Whatever the plan would insert leaves weights and outputs that are numbers; what it rejects says why."""
    for candidate in plan.candidates:
        numbers = (candidate.gain, candidate.amplitude, candidate.held_out_gain or 0.0)
        assert all(map(math.isfinite, numbers)), candidate
        if candidate.rejected:
            assert candidate.gain == candidate.amplitude == 0.0
            continue
        grown = copy.deepcopy(model)
        dagrow.apply(grown, candidate)
        assert all(bool(value.isfinite().all()) for value in grown.state_dict().values()), candidate
        assert bool(grown(x).isfinite().all()), candidate


@torch.no_grad()
def mean_loss(model: torch.fx.GraphModule, x: Tensor, y: Tensor) -> float:
    """Over the batches that `look` gives, in the mode of the model, which is left as it is."""
    copied = copy.deepcopy(model)
    losses = [float(cross_entropy(copied(x[rows]), y[rows])) * len(y[rows]) for rows in (slice(80), slice(80, None))]
    return sum(losses) / len(y)


def moved_at_the_dead_feature(model: torch.fx.GraphModule, grown: torch.fx.GraphModule) -> float:
    """The largest weight by which the first feature of x is read in another way than before."""
    old, moved = model.state_dict(), [0.0]
    for key, value in grown.state_dict().items():
        if key.endswith("from_x.weight"):
            change = value[:, 0].clone()
            if key in old:
                change[: len(old[key])] -= old[key][:, 0]
            moved.append(float(change.abs().max()))
    return max(moved)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_bad_sample_is_one_clear_error(value):
    model, (x, y) = dagrow.build(one_hidden(), seed=0), samples()
    before = {key: entry.clone() for key, entry in model.state_dict().items()}
    x[90, 2] = value
    with pytest.raises(NumbersError, match="batch 2 of the data has infinite or NaN values at the input 'x'"):
        look(model, x, y)
    assert all(torch.equal(before[key], entry) for key, entry in model.state_dict().items())


def test_a_bad_target_is_one_clear_error():
    model, (x, _) = dagrow.build(one_hidden(), seed=0), samples()
    y = torch.zeros(120, 3)
    y[3, 1] = math.nan
    with pytest.raises(NumbersError, match="the loss of the network as it stands is nan"):
        look(model, x, y, mse_loss)


def test_a_loss_without_a_gradient_is_one_clear_error():
    """Where it is 0, the root has an infinite slope, and infinity times 0 is none."""

    def rooted(output: Tensor, target: Tensor) -> Tensor:
        return (output - output.detach()).square().sum(1).sqrt().mean() + cross_entropy(output, target)

    model, (x, y) = dagrow.build(one_hidden(), seed=0), samples()
    with pytest.raises(NumbersError, match="the gradient of the loss at 'y' is infinite or NaN in batch 1"):
        look(model, x, y, rooted)


def test_errors_about_numbers_are_errors_of_growth():
    assert issubclass(NumbersError, GrowthError)


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e12, 1e22, 1e30])
def test_values_that_cannot_be_squared_reject_what_needs_their_square(scale):
    """Features of 1e22 overflow float32 when they are squared; the loss, in which they do not count, is finite."""
    model, (x, y) = dagrow.build(one_hidden("tanh"), seed=0), samples()
    x[:, 3] *= scale
    plan = look(model, x, y, candidates=KINDS, max_solved=8, max_searched=4)
    check_every_insertion(model, plan, x)
    reasons = {candidate.rejected for candidate in plan.candidates}
    assert any("infinite or NaN" in reason for reason in reasons) == (scale >= 1e22)


@pytest.mark.share(0.35)
@pytest.mark.parametrize("activation", ["relu", "selu"])
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_constant_features(activation, norm):
    """What is always 0 gets no weight, what is always 5 is no trouble: each gain is the drop of the loss."""
    model, (x, y) = dagrow.build(one_hidden(activation, norm), seed=0).eval(), samples()
    x[:, 0], x[:, 1] = 0.0, 5.0
    for mode in (True, False):
        plan = look(model.train(mode), x, y, candidates=KINDS, max_solved=8, max_searched=4)
        check_every_insertion(model, plan, x)
        assert plan.best is not None
        assert plan.best.gain > 0
        for candidate in (candidate for candidate in plan.candidates if not candidate.rejected):
            grown = copy.deepcopy(model)
            dagrow.apply(grown, candidate)
            obtained = mean_loss(model, x, y) - mean_loss(grown, x, y)
            assert obtained == pytest.approx(candidate.gain, rel=1e-2, abs=1e-5), candidate
            # A layer hands on what was there, the weights of a feature that is 0 too.
            if candidate.kind != "layer":
                assert moved_at_the_dead_feature(model, grown) < 1e-9, candidate


@pytest.mark.parametrize("activation", ["relu", "selu"])
def test_constant_features_count_as_the_bias(activation):
    """What has a closed form gains what it does in the network without them, whose biases hold what they gave."""
    model, (x, y) = dagrow.build(one_hidden(activation), seed=0).double().eval(), samples()
    x = x.double()
    x[:, 0], x[:, 1] = 0.0, 5.0
    bare = dagrow.build(chain(node(2, activation), features=2, outputs=3), seed=0).double().eval()
    weights = model.state_dict()
    read = weights["h.from_x.weight"]
    weights |= {
        "h.from_x.weight": read[:, 2:],
        "h.from_x.bias": weights["h.from_x.bias"] + 5.0 * read[:, 1],
    }
    bare.load_state_dict(weights)
    options = {"candidates": ("update", "edge"), "shrinkage": 0}
    plan, expected = look(model, x, y, **options), look(bare, x[:, 2:], y, **options)
    assert expected.loss == pytest.approx(plan.loss)
    gains = {(c.kind, c.place): c.gain for c in expected.candidates}
    assert max(gains.values()) > 0.01
    assert {(c.kind, c.place): c.gain for c in plan.candidates} == pytest.approx(gains, rel=1e-4, abs=1e-9)


def test_nothing_but_constants_finds_nothing_but_the_constant():
    """Only the shares of the classes can be learned, and not below the entropy of these shares: by updates at once."""
    model, (_, y) = dagrow.build(one_hidden(), seed=0), samples()
    x = torch.ones(120, 4)
    plan = look(model, x, y, candidates=KINDS, max_solved=8, max_searched=4)
    check_every_insertion(model, plan, x)
    shares = torch.bincount(y) / len(y)
    most = plan.loss + float((shares * shares.log()).sum())
    gaining = [candidate for candidate in plan.candidates if not candidate.rejected]
    # A new neuron, whose features are constant too, could do no more than a bias does.
    assert max(candidate.gain for candidate in gaining if candidate.kind == "update") > most / 2
    for candidate in gaining:
        assert candidate.gain <= most + 1e-6
        grown = copy.deepcopy(model)
        dagrow.apply(grown, candidate)
        torch.testing.assert_close(grown(x), grown(x[:1]).expand(120, 3))


def test_empty_classes():
    model, (x, _) = dagrow.build(one_hidden(), seed=0), samples()
    for y in (torch.zeros(120, dtype=torch.long), (torch.arange(120) == 7).long() * 2):
        check_every_insertion(model, look(model, x, y, candidates=KINDS, max_solved=8, max_searched=4), x)


def test_a_dead_relu_comes_back_to_life():
    """All units of h are 0 on all samples, and nothing flows back through them: new ones still gain."""
    model, (x, y) = dagrow.build(one_hidden("relu"), seed=0), samples()
    with torch.no_grad():
        model.get_submodule("h.from_x").weight.zero_()
        model.get_submodule("h.from_x").bias.fill_(-1)
    plan = look(model, x, y)
    assert plan.best is not None
    assert plan.best.gain > 0
    check_every_insertion(model, plan, x)


def test_a_dead_output_gains_nothing_and_says_so():
    nodes = {"h": {"size": 2, "activation": "relu"}, "y": {"size": 1, "activation": "relu"}}
    edges = {"x -> h": "linear", "h -> y": "linear"}
    dead = {"inputs": {"x": {"shape": [4]}}, "nodes": nodes, "edges": edges, "outputs": "y"}
    model, (x, _) = dagrow.build(GraphSpec.model_validate(dead), seed=0), samples()
    with torch.no_grad():
        model.get_submodule("y.from_h").weight.zero_()
        model.get_submodule("y.from_h").bias.fill_(-1)
    plan = look(model, x, torch.ones(120, 1), mse_loss, candidates=KINDS[:4], max_solved=8, max_searched=4)
    assert plan.best is None
    assert all(candidate.rejected for candidate in plan.candidates)


@pytest.mark.parametrize("entry", [math.nan, math.inf, -math.inf])
def test_a_metric_of_no_numbers_is_refused(entry):
    S, N = torch.eye(3, dtype=torch.float64), torch.ones(3, 2, dtype=torch.float64)
    metric = Metric(S)
    N[1, 1] = entry
    with pytest.raises(NumbersError, match="its statistics are infinite or NaN"):
        metric.whiten(N)
    S[0, 2] = S[2, 0] = entry
    with pytest.raises(NumbersError, match="its statistics are infinite or NaN"):
        Metric(S)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_amplitude_is_tried_that_drowns_a_pre_activation(dtype):
    base, part = torch.randn(50, 3, dtype=dtype), torch.full((50, 3), 1e-20, dtype=dtype)
    response = Response({"h": part})
    limit = response.largest_amplitude({merged("h"): base})
    kept = response.at(limit)("h", base) - limit * part
    half = torch.finfo(dtype).eps ** 0.5
    assert half**2 < float((kept - base).abs().amax()) <= half * float(base.abs().amax())
    assert response.largest_amplitude({merged("h"): torch.zeros_like(base)}) == math.inf
    assert response.largest_amplitude({}) == math.inf
