"""Streams under layer and RMS norm: statistics against loops, first order, the function kept, promises kept."""

from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import AveragedModel

from dagrow.capture import from_module
from dagrow.methods import MethodRequest
from dagrow.methods.tiny import tiny
from dagrow.module_growth import apply_to_module, propose_for_module
from dagrow.module_growth.batches import split
from dagrow.module_growth.flow import Flow
from dagrow.module_growth.moments import collect
from dagrow.module_growth.new_channels import directions, new_channels, zero_sum
from dagrow.module_growth.trial import Trial, mean_loss

TOKENS, VOCABULARY, WIDTH, INNER = 3, 5, 6, 4
KINDS = {"layer": (nn.LayerNorm, False), "rms": (nn.RMSNorm, False), "tied": (nn.LayerNorm, True)}


class Stream(nn.Module):
    """Tokens, positions, two branches under norms, and an output under a third, perhaps of the embedding's weight."""

    def __init__(self, norm, tied):
        super().__init__()
        self.embed, self.place = nn.Embedding(VOCABULARY, WIDTH), nn.Parameter(torch.randn(TOKENS, WIDTH))
        self.norms = nn.ModuleList(norm(WIDTH) for _ in range(3))
        self.into = nn.ModuleList(nn.Linear(WIDTH, INNER) for _ in range(2))
        self.out = nn.ModuleList(nn.Linear(INNER, WIDTH) for _ in range(2))
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)
        if tied:
            self.head.weight = self.embed.weight

    def forward(self, x):
        h = self.embed(x) + self.place
        for norm, into, out in zip(self.norms[:2], self.into, self.out, strict=True):
            h = h + out(torch.tanh(into(norm(h))))
        return self.head(self.norms[2](h))


def loss(output, target):
    return F.cross_entropy(output.flatten(0, 1), target.flatten())


def samples(count=24):
    x = torch.randint(0, VOCABULARY, (count, TOKENS), generator=torch.Generator().manual_seed(3))
    return x, (2 * x + torch.arange(TOKENS)) % VOCABULARY


@cache
def stream_of(kind):
    """A captured network in float64, factors of norms off their defaults, and its stream."""
    torch.manual_seed(0)
    model = Stream(*KINDS[kind]).double().eval()
    for norm in model.norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
    captured = from_module(model, samples(2)[0])
    return captured, captured.space("embed:out")


@cache
def looked_at(kind):
    captured, space = stream_of(kind)
    x, y = samples()
    parts = split([(x[:11], y[:11]), (x[11:], y[11:])], 0.0)
    flow = Flow(captured, space)
    found = collect(captured, {space.name: flow}, loss, parts.fit)
    assert not found.reasons
    return captured, flow, parts, found.moments[space.name][0]


def drafted(kind, count=3):
    captured, flow, parts, moments = looked_at(kind)
    neurons = tiny(moments, MethodRequest(neurons=directions(flow.space, count), significance=0.0))
    channels = new_channels(captured, flow, neurons, torch.ones(neurons.count), parts.fit)
    assert channels.count == count
    return neurons, channels, Trial(captured, flow.space, count, loss)


def deviation(norm, h):
    eps = norm.eps if norm.eps is not None else torch.finfo(torch.float64).eps
    h = h.tolist()
    mean = sum(h) / len(h) if isinstance(norm, nn.LayerNorm) else 0.0
    return (sum((each - mean) ** 2 for each in h) / len(h) + eps) ** 0.5


@pytest.mark.parametrize("kind", ["layer", "rms"])
def test_moments_are_those_of_loops_over_samples_and_tokens(kind):
    captured, flow, _, moments = looked_at(kind)
    model, (x, y) = captured.model, samples()
    assert [writer.name for writer in flow.writers] == ["embed.weight", "out.0.weight", "out.1.weight"]
    assert [reader.map.name for reader in flow.readers] == ["into.0.weight", "into.1.weight", "head.weight"]
    features = VOCABULARY + 2 * INNER + 2
    S, N = torch.zeros(features, features).double(), torch.zeros(features, 2 * INNER + VOCABULARY).double()
    written = [list(range(VOCABULARY)), [5, 6, 7, 8, 13], [9, 10, 11, 12, 14]]
    for tokens, target in zip(x, y, strict=True):
        h, streams, asked, inner = model.embed(tokens) + model.place, [], [], [F.one_hot(tokens, VOCABULARY).double()]
        for norm, into, out in zip(model.norms[:2], model.into, model.out, strict=True):
            streams.append(h.detach())
            asked.append(into(norm(h)))
            inner.append(torch.cat([torch.tanh(asked[-1]), torch.ones(TOKENS, 1).double()], 1).detach())
            h = h + out(torch.tanh(asked[-1]))
        streams.append(h.detach())
        asked.append(model.head(model.norms[2](h)))
        goals = torch.autograd.grad(loss(asked[-1][None], target[None]), asked)
        for number, (stream, goal) in enumerate(zip(streams, goals, strict=True)):
            columns = slice(number * INNER, number * INNER + goal.shape[1])
            for t in range(TOKENS):
                B = torch.zeros(features).double()
                for rows, values in zip(written[: number + 1], inner, strict=False):
                    B[rows] = values[t] / deviation(model.norms[number], stream[t])
                S += torch.outer(B, B)
                N[:, columns] -= torch.outer(B, goal[t])
    torch.testing.assert_close(moments.S, S / len(x))
    torch.testing.assert_close(moments.N_goal, N / len(x))


@pytest.mark.parametrize("kind", KINDS)
def test_first_order_is_that_of_the_grown_network(kind):
    _, _, parts, moments = looked_at(kind)
    neurons, channels, trial = drafted(kind)
    start = mean_loss(stream_of(kind)[0], loss, parts.fit)
    slope = float((moments.N_goal * (neurons.alpha @ neurons.omega)).sum())
    assert float(trial.slopes(channels, parts.fit).sum()) == pytest.approx(slope, rel=1e-6)
    trial.put(channels.at(0.0))
    assert trial.mean_loss(parts.fit) == pytest.approx(start, rel=1e-12)
    drops, size = [], 1e-3
    for sign in (1, -1):
        trial.put(channels.scaled(sign * size, 1.0))
        drops.append(start - trial.mean_loss(parts.fit))
    assert (drops[0] - drops[1]) / (2 * size) == pytest.approx(slope, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_promised_is_obtained(kind):
    captured, space = stream_of(kind)
    x, y = samples(64)
    average = AveragedModel(captured.model)
    plan = propose_for_module(captured, loss, [(x, y)], spaces=[space.name], neurons=3, shrinkage=0.01)
    assert plan.best is not None
    assert plan.best.channels == 3
    grown = captured.copied()
    average = AveragedModel(grown.model)
    apply_to_module(grown, plan.best, averages=[average])
    with torch.no_grad():
        found = float(loss(grown.model(x), y))
        assert float(loss(captured.model(x), y)) - found == pytest.approx(plan.best.gain, rel=1e-6)
        torch.testing.assert_close(average(x), grown.model(x))
    assert grown.space(space.name).size == WIDTH + 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_silent_start_keeps_the_function_and_trains(kind):
    captured, space = stream_of(kind)
    x, y = samples(64)
    plan = propose_for_module(captured, loss, [(x, y)], spaces=[space.name], neurons=3, shrinkage=0.01)
    grown = captured.copied()
    widened = apply_to_module(grown, plan.best, silent=True)
    torch.testing.assert_close(grown.model(x), captured.model(x), rtol=1e-12, atol=1e-12)
    loss(grown.model(x), y).backward()
    assert all(bool(each.new.grad[each.fresh].any()) for each in widened.tensors if each.name == "out.1.weight")


def test_one_channel_under_a_layer_norm_has_no_direction():
    captured, space = stream_of("layer")
    plan = propose_for_module(captured, loss, [samples()], spaces=[space.name], neurons=1)
    assert plan.best is not None
    assert plan.best.weights is None
    assert "one channel alone" in plan.best.note


@pytest.mark.parametrize("count", [0, 1, 4])
def test_rows_that_add_up_to_nothing(count):
    rows = zero_sum(count)
    torch.testing.assert_close(rows @ rows.T, torch.eye(count).double())
    assert float(rows.sum(1).abs().sum()) == pytest.approx(0, abs=1e-14)
