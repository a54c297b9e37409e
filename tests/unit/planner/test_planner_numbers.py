"""Numbers that go wrong: each has a defined end, and nothing bad is ever inserted."""

import copy
import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

import dagrow
from dagrow.build import merged
from dagrow.errors import GrowthError, NumbersError
from dagrow.methods import Metric
from dagrow.planner.batch_response import Response
from dagrow.spec import GraphSpec

KINDS = ("widen", "edge", "node", "layer", "update", "remove")


def chain(activation: str = "selu", norm: str = "none") -> GraphSpec:
    nodes = {"h": {"size": 2, "activation": activation, "norm": norm}, "y": {"size": 3}}
    edges = {"x -> h": "linear", "h -> y": "linear"}
    return GraphSpec.model_validate({"inputs": {"x": {"shape": [4]}}, "nodes": nodes, "edges": edges, "outputs": "y"})


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


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_bad_sample_is_one_clear_error(value):
    model, (x, y) = dagrow.build(chain(), seed=0), samples()
    before = {key: entry.clone() for key, entry in model.state_dict().items()}
    x[90, 2] = value
    with pytest.raises(NumbersError, match="batch 2 of the data has infinite or NaN values at the input 'x'"):
        look(model, x, y)
    assert all(torch.equal(before[key], entry) for key, entry in model.state_dict().items())


def test_a_bad_target_is_one_clear_error():
    model, (x, _) = dagrow.build(chain(), seed=0), samples()
    y = torch.zeros(120, 3)
    y[3, 1] = math.nan
    with pytest.raises(NumbersError, match="the loss of the network as it stands is nan"):
        look(model, x, y, mse_loss)


def test_a_loss_without_a_gradient_is_one_clear_error():
    """Where it is 0, the root has an infinite slope, and infinity times 0 is none."""

    def rooted(output: Tensor, target: Tensor) -> Tensor:
        return (output - output.detach()).square().sum(1).sqrt().mean() + cross_entropy(output, target)

    model, (x, y) = dagrow.build(chain(), seed=0), samples()
    with pytest.raises(NumbersError, match="the gradient of the loss at 'y' is infinite or NaN in batch 1"):
        look(model, x, y, rooted)


def test_errors_about_numbers_are_errors_of_growth():
    assert issubclass(NumbersError, GrowthError)


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e12, 1e22, 1e30])
def test_values_that_cannot_be_squared_reject_what_needs_their_square(scale):
    """Features of 1e22 overflow float32 when they are squared; the loss, in which they do not count, is finite."""
    model, (x, y) = dagrow.build(chain("tanh"), seed=0), samples()
    x[:, 3] *= scale
    plan = look(model, x, y, candidates=KINDS, keep=(8, 4))
    check_every_insertion(model, plan, x)
    reasons = {candidate.rejected for candidate in plan.candidates}
    assert any("infinite or NaN" in reason for reason in reasons) == (scale >= 1e22)


@pytest.mark.parametrize("activation", ["relu", "selu"])
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_constant_features(activation, norm):
    model, (x, y) = dagrow.build(chain(activation, norm), seed=0).eval(), samples()
    x[:, 0], x[:, 1] = 0.0, 5.0
    for mode in (True, False):
        plan = look(model.train(mode), x, y, candidates=KINDS, keep=(8, 4))
        check_every_insertion(model, plan, x)
        assert plan.best is not None


def test_nothing_but_constants_finds_nothing_but_the_constant():
    model, (_, y) = dagrow.build(chain(), seed=0), samples()
    x = torch.ones(120, 4)
    plan = look(model, x, y, candidates=KINDS, keep=(8, 4))
    check_every_insertion(model, plan, x)


def test_empty_classes():
    model, (x, _) = dagrow.build(chain(), seed=0), samples()
    for y in (torch.zeros(120, dtype=torch.long), (torch.arange(120) == 7).long() * 2):
        check_every_insertion(model, look(model, x, y, candidates=KINDS, keep=(8, 4)), x)


def test_a_dead_relu_comes_back_to_life():
    """All units of h are 0 on all samples, and nothing flows back through them: new ones still gain."""
    model, (x, y) = dagrow.build(chain("relu"), seed=0), samples()
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
    plan = look(model, x, torch.ones(120, 1), mse_loss, candidates=KINDS[:4], keep=(8, 4))
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
