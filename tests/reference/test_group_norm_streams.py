"""Streams and widths under group norm: new groups by the joint problem; statistics against loops, promises kept."""

from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dagrow.capture import from_module
from dagrow.methods import METHODS, MethodRequest
from dagrow.module_growth import apply_to_module, propose_for_module
from dagrow.module_growth.batches import split
from dagrow.module_growth.moments import collect
from dagrow.module_growth.sites import find_flows, site_of
from dagrow.module_growth.trial import Trial, mean_loss

CLASSES, SIDE, TINY = 3, 3, METHODS.find("tiny")


class Inner(nn.Module):
    """One width of two groups of two channels, between two convolutions."""

    def __init__(self):
        super().__init__()
        self.into, self.norm = nn.Conv2d(2, 4, 3, padding=1), nn.GroupNorm(2, 4)
        self.out = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        return self.out(torch.tanh(self.norm(self.into(x)))).flatten(1)[:, ::7]


class Stream(nn.Module):
    """A stream of two groups of three channels: written by a stem and a branch, read behind norms."""

    def __init__(self):
        super().__init__()
        self.stem, self.first, self.last = nn.Conv2d(2, 6, 1), nn.GroupNorm(2, 6), nn.GroupNorm(2, 6)
        self.into, self.out, self.head = nn.Conv2d(6, 4, 1), nn.Conv2d(4, 6, 1), nn.Linear(6, CLASSES)

    def forward(self, x):
        h = self.stem(x)
        h = h + self.out(torch.tanh(self.into(torch.tanh(self.first(h)))))
        return self.head(torch.tanh(self.last(h)).mean((2, 3)))


KINDS = {"inner": Inner, "stream": Stream}
PER_GROUP = {"inner": 2, "stream": 3}


def samples(count=24):
    x = torch.randn(count, 2, SIDE, SIDE, generator=torch.Generator().manual_seed(3)).double()
    return x, (x[:, 0, 1, 1] * x[:, 1, 0, 0] > 0).long() + (x[:, 0, 0, 0] > 0.5).long()


@cache
def captured_of(kind):
    torch.manual_seed(0)
    model = KINDS[kind]().double().eval()
    for module in model.modules():
        if isinstance(module, nn.GroupNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return from_module(model, samples(2)[0])


@cache
def looked_at(kind):
    captured = captured_of(kind)
    x, y = samples()
    parts = split([(x[:11], y[:11]), (x[11:], y[11:])], 0.0)
    flows, notes = find_flows(captured, [captured.space(name_of(kind))])
    assert not notes
    found = collect(captured, flows, F.cross_entropy, parts.fit)
    assert not found.reasons
    (flow,) = flows.values()
    return site_of(captured, flow, found, parts.fit), parts


def name_of(kind):
    (space,) = [each for each in captured_of(kind).growable if each.label == "groups"]
    return space.name


def test_moments_of_a_stream_are_those_of_loops():
    """Behind a norm, which counts as the identity, the first channel of a new group is read as any other."""
    site, _ = looked_at("stream")
    model, (x, y) = captured_of("stream").model, samples()
    moments = site.moments[0]
    features = 2 + 4 + 2
    S, N = torch.zeros(features, features).double(), torch.zeros(features, 4 + CLASSES).double()
    for image, target in zip(x, y, strict=True):
        h = model.stem(image[None])
        asked = model.into(torch.tanh(model.first(h)))
        inner = torch.tanh(asked)
        h = h + model.out(inner)
        read = model.head(torch.tanh(model.last(h)).mean((2, 3)))
        goals = torch.autograd.grad(F.cross_entropy(read, target[None]), [asked, read])
        mean = torch.zeros(features).double()
        for i in range(SIDE):
            for j in range(SIDE):
                B = torch.zeros(features).double()
                B[:2], B[6] = image[:, i, j], 1
                S += torch.outer(B, B)
                N[:, :4] -= torch.outer(B, goals[0][0, :, i, j])
                B[2:6], B[7] = inner[0, :, i, j].detach(), 1
                mean += B / SIDE**2
        S += torch.outer(mean, mean)
        N[:, 4:] -= torch.outer(mean, goals[1][0])
    first = torch.cat([torch.arange(4), 12 + torch.arange(CLASSES)])
    torch.testing.assert_close(moments.N_goal[:, first], N / len(x))
    assert not moments.N_goal[:, 4:12].any()
    torch.testing.assert_close(moments.S, S / len(x))


@pytest.mark.parametrize("kind", KINDS)
def test_new_groups_are_neurons_whose_channels_add_up_to_nothing(kind):
    site, _ = looked_at(kind)
    groups, each = 2, PER_GROUP[kind]
    made = site.draft(TINY, MethodRequest(neurons=groups, significance=0.0))
    alone = TINY(site.moments[0], MethodRequest(neurons=groups * (each - 1), significance=0.0))
    alpha = made.alpha.T.view(groups, each, -1)
    assert float(alpha.sum(1).abs().max()) < 1e-12
    assert float(made.scores.square().sum()) == pytest.approx(float(alone.scores.square().sum()))
    slope, square = site.first_order(made)
    assert slope == pytest.approx(float((site.moments[0].N_goal * (alone.alpha @ alone.omega)).sum()))
    assert square > 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_slope_is_that_of_the_grown_network(kind):
    site, parts = looked_at(kind)
    channels = site.channels(site.draft(TINY, MethodRequest(neurons=1, significance=0.0)))
    trial = Trial(captured_of(kind), site.flow.space, 1, F.cross_entropy)
    aimed, slope = site.aimed(channels, trial)
    start, size, drops = mean_loss(captured_of(kind), F.cross_entropy, parts.fit), 1e-6, []
    trial.put(aimed.at(0.0))
    assert trial.mean_loss(parts.fit) == pytest.approx(start, rel=1e-12)
    for sign in (1, -1):
        trial.put(aimed.scaled(1.0, sign * size))
        drops.append(start - trial.mean_loss(parts.fit))
    assert (drops[0] - drops[1]) / (2 * size) == pytest.approx(slope, rel=1e-5)
    assert slope > 0


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_promised_is_obtained(kind):
    captured = captured_of(kind)
    x, y = samples(64)
    asked = {"spaces": [name_of(kind)], "neurons": 2, "shrinkage": 0.01, "held_out": 0.0}
    plan = propose_for_module(captured, F.cross_entropy, [(x, y)], **asked)
    assert plan.best is not None
    assert plan.best.slope is not None
    grown = captured.copied()
    apply_to_module(grown, plan.best)
    with torch.no_grad():
        gain = float(F.cross_entropy(captured.model(x), y) - F.cross_entropy(grown.model(x), y))
    assert gain == pytest.approx(plan.best.gain, rel=1e-6)
    assert gain > 0
    silent = captured.copied()
    widened = apply_to_module(silent, plan.best, silent=True)
    torch.testing.assert_close(silent.model(x), captured.model(x), rtol=1e-12, atol=1e-12)
    F.cross_entropy(silent.model(x), y).backward()
    assert any(bool(each.new.grad[each.fresh].any()) for each in widened.tensors)
