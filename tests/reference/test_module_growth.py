"""Growth of any module: statistics against explicit sums, slopes against finite differences, promises kept."""

import pytest
import torch
import torch.nn.functional as F
from reference_modules import KINDS, module_of, samples
from torch import nn

from dagrow.errors import GrowthError
from dagrow.methods import METHODS, MethodRequest
from dagrow.methods.tiny import tiny
from dagrow.module_growth import apply_to_module, propose_for_module
from dagrow.module_growth.batches import split
from dagrow.module_growth.flow import Flow
from dagrow.module_growth.linear_site import LinearSite
from dagrow.module_growth.moments import collect
from dagrow.module_growth.new_channels import new_channels
from dagrow.module_growth.trial import Trial, mean_loss

LOSS = F.cross_entropy


def looked_at(kind, act=nn.Identity, held_out=0.0):
    captured, space = module_of(kind, act)
    x, y = samples()
    parts = split([(x[:25], y[:25]), (x[25:], y[25:])], held_out)
    flow = Flow(captured, space)
    found = collect(captured, {space.name: flow}, LOSS, parts.fit)
    assert not found.reasons
    return captured, flow, parts, found.moments[space.name][0], found.scales[space.name]


def drafted(captured, flow, parts, moments, scale, count=2):
    neurons = tiny(moments, MethodRequest(neurons=count, significance=0.0))
    size = ((neurons.alpha * (moments.S @ neurons.alpha)).sum(0) / scale).sqrt()
    return neurons, new_channels(captured, flow, neurons, size, parts.fit)


def least_squares_rest(features, v):
    return v - features @ torch.linalg.lstsq(features, v).solution


def test_moments_of_vectors_are_those_of_explicit_sums():
    captured, _, _, moments, _ = looked_at("vectors")
    model, (x, y) = captured.model, samples()
    h = x.mean((1, 2))
    hidden = model.first(h)
    out = model.last(hidden).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(LOSS(out, y, reduction="sum"), out)
    one = torch.ones(len(x), 1, dtype=x.dtype)
    B, known = torch.cat([h, one], 1), torch.cat([hidden.detach(), one], 1)
    rest = least_squares_rest(known, -gradient)
    torch.testing.assert_close(moments.S, B.T @ B / len(x))
    torch.testing.assert_close(moments.N_goal, -B.T @ gradient / len(x))
    torch.testing.assert_close(moments.N_proj, B.T @ rest / len(x))
    assert moments.v_proj_squared == pytest.approx(float(rest.square().sum()) / len(x))


def test_moments_of_convolutions_are_those_of_explicit_patches():
    captured, _, _, moments, scale = looked_at("conv")
    model, (x, y) = captured.model, samples()
    patches = F.unfold(x, 3, padding=1, stride=2).view(len(x), 27, 4, 4)
    patches = torch.cat([patches, torch.ones_like(patches[:, :1])], 1)
    image = F.avg_pool2d(patches, 2)
    read = F.unfold(image, 3, padding=1).view(len(x), 28, 9, 4)
    known = F.unfold(F.avg_pool2d(model.first(x), 2), 3, padding=1).transpose(1, 2).flatten(0, 1).detach()
    known = torch.cat([known, torch.ones_like(known[:, :1])], 1)
    out = model.last(F.avg_pool2d(model.first(x), 2)).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(LOSS(out.mean((2, 3)), y, reduction="sum"), out)
    v = least_squares_rest(known, -gradient.flatten(2).transpose(1, 2).flatten(0, 1)).view(len(x), 4, 3)
    N = torch.einsum("nfkp,npo->fok", read, v).flatten(1) / len(x)
    torch.testing.assert_close(moments.N_proj, N)
    # Each of the four positions is read by all four outputs, times r = 9 kernel positions.
    S = 4 * 9 * torch.einsum("nfhw,nghw->fg", image, image) / len(x)
    torch.testing.assert_close(moments.S, S)
    assert scale == pytest.approx(4 * 4 * 9)


def test_the_bottleneck_drops_by_the_squared_singular_values():
    captured, _, _, moments, _ = looked_at("vectors")
    model, (x, y) = captured.model, samples()
    neurons = tiny(moments, MethodRequest(neurons=2, significance=0.0))
    h = x.mean((1, 2))
    one = torch.ones(len(x), 1, dtype=x.dtype)
    out = model.last(model.first(h)).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(LOSS(out, y, reduction="sum"), out)
    rest = least_squares_rest(torch.cat([model.first(h).detach(), one], 1), -gradient)
    left = rest - torch.cat([h, one], 1) @ neurons.alpha @ neurons.omega
    assert float(left.square().sum()) / len(x) == pytest.approx(
        moments.v_proj_squared - float(neurons.scores.square().sum()), rel=1e-9
    )


@pytest.mark.parametrize("kind", KINDS)
def test_first_order_of_the_statistics_is_that_of_the_grown_module(kind):
    captured, flow, parts, moments, scale = looked_at(kind)
    neurons, channels = drafted(captured, flow, parts, moments, scale)
    trial = Trial(captured, flow.space, neurons.count, LOSS)
    slope = float(trial.slopes(channels, parts.fit).sum())
    assert slope == pytest.approx(float((moments.N_goal * (neurons.alpha @ neurons.omega)).sum()), rel=1e-6)


@pytest.mark.parametrize("kind", ["flattened", "depthwise", "stream"])
def test_slopes_are_finite_differences(kind):
    captured, flow, parts, moments, scale = looked_at(kind, nn.ReLU)
    neurons, channels = drafted(captured, flow, parts, moments, scale)
    trial = Trial(captured, flow.space, neurons.count, LOSS)
    slope = float(trial.slopes(channels, parts.fit).sum())
    start, size = mean_loss(captured, LOSS, parts.fit), 1e-5 / abs(slope)
    trial.put(channels.at(size))
    assert (start - trial.mean_loss(parts.fit)) / size == pytest.approx(slope, rel=2e-3)


@pytest.mark.parametrize(
    ("kind", "shrinkage"),
    [("vectors", "auto"), ("flattened", 0.01), ("depthwise", 0.01), ("concat", 0.01), ("stream", 0.01)],
)
def test_what_is_promised_is_obtained(kind, shrinkage):
    captured, space = module_of(kind, nn.ReLU)
    x, y = samples()
    before = {name: tensor.clone() for name, tensor in captured.model.state_dict().items()}
    plan = propose_for_module(captured, LOSS, [(x, y)], spaces=[space.name], neurons=2, shrinkage=shrinkage)
    assert all(torch.equal(tensor, before[name]) for name, tensor in captured.model.state_dict().items())
    assert plan.best is not None
    assert plan.best.held_out_gain > 0
    grown = captured.copied()
    apply_to_module(grown, plan.best)
    with torch.no_grad():
        found = float(LOSS(grown.model(x), y))
        assert float(LOSS(captured.model(x), y)) - found == pytest.approx(plan.best.gain, rel=1e-6)
        assert plan.loss - plan.best.gain == pytest.approx(found, rel=1e-9)


@pytest.mark.parametrize("cut", [[17, 31], [1, 20, 27]])
def test_statistics_do_not_depend_on_the_batches(cut):
    captured, space = module_of("stream")
    x, y = samples()
    batches = list(zip(x.split(cut), y.split(cut), strict=True))
    flow = Flow(captured, space)
    whole, parts = (
        collect(captured, {space.name: flow}, LOSS, split(data, 0.0).fit).moments[space.name][0]
        for data in ([(x, y)], batches)
    )
    for name in ("S", "N_proj", "N_goal", "mean"):
        torch.testing.assert_close(getattr(whole, name), getattr(parts, name), rtol=1e-9, atol=1e-12)


def test_a_writer_below_a_reader_gives_it_nothing():
    _, flow, _, moments, _ = looked_at("stream")
    tensors = dict(module_of("stream")[0].model.state_dict())
    counts = flow.feature_counts(tensors)
    assert [writer.name for writer in flow.writers] == ["first.weight", "outs.0.weight", "outs.1.weight"]
    first_reader = 9 * 3
    below = slice(counts[0], sum(counts))
    assert not moments.N_goal[below, :first_reader].any()
    assert moments.N_goal[: counts[0], :first_reader].any()


@pytest.mark.parametrize("method", ["gradmax", "north_weights", "north_activations"])
@pytest.mark.parametrize("kind", ["vectors", "flattened"])
def test_methods_that_keep_the_function_are_those_of_the_registry(kind, method):
    captured, space = module_of(kind, nn.ReLU)
    x, y = samples()
    plan = propose_for_module(captured, LOSS, [(x, y)], spaces=[space.name], neurons=2, method=method, shrinkage=0.0)
    assert plan.best is not None
    assert plan.best.weights is not None, plan.best.note
    assert plan.best.gain == 0
    grown = captured.copied()
    widened = apply_to_module(grown, plan.best)
    with torch.no_grad():
        torch.testing.assert_close(grown.model(x), captured.model(x), rtol=1e-9, atol=1e-9)
    optimizer, trained = torch.optim.SGD(grown.model.parameters(), lr=0.1), set()
    for _ in range(2):
        optimizer.zero_grad()
        LOSS(grown.model(x), y).backward()
        trained |= {each.name for each in widened.tensors if bool(each.new.grad[each.fresh].any())}
        optimizer.step()
    assert trained == {each.name for each in widened.tensors}


def test_existing_channels_are_neurons():
    captured, flow, parts, moments, _ = looked_at("vectors")
    site = LinearSite(captured, flow, (moments,), 1.0, parts.fit)
    draft = site.draft(METHODS.find("gradmax"), MethodRequest(neurons=1))
    fan_out = captured.model.last.weight.detach().norm(dim=0).mean()
    assert float(draft.omega.norm()) == pytest.approx(float(fan_out))
    draft = site.draft(METHODS.find("north_weights"), MethodRequest(neurons=1))
    there = torch.cat([captured.model.first.weight, captured.model.first.bias.unsqueeze(1)], 1).detach()
    lengths = moments.lengths
    assert float(((there * lengths) @ (draft.alpha * lengths.unsqueeze(1))).abs().max()) < 1e-9


def test_a_method_says_why_it_finds_nothing():
    captured, space = module_of("stream", nn.ReLU)
    plan = propose_for_module(captured, LOSS, [samples()], spaces=[space.name], neurons=2, method="gradmax")
    assert plan.best.weights is None
    assert "behind a batch norm" in plan.best.note
    with pytest.raises(GrowthError, match="'folding' is not for modules"):
        propose_for_module(captured, LOSS, [samples()], method="folding")
