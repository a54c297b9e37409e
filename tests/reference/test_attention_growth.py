"""Queries, keys and values of attention: statistics against explicit softmax Jacobians, first order, promises kept."""

import math
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

TOKENS, VOCABULARY, WIDTH, SIZE = 4, 5, 6, 2
KINDS = {"causal": (2, 2), "open": (1, 1), "grouped": (4, 2), "written": (2, 2), "packed": (2, 2), "shared": (2, 2)}
"""Heads of queries, and of keys and values."""

SIZES = {"query_key": "q:query_key", "value": "v:value"}
SPACES = {**dict.fromkeys(KINDS, SIZES), "causal": {**SIZES, "heads": "q:heads"}, "packed": {"heads": "qkv:heads"}}
SPACES["shared"] = {"head_size": "qkv:head_size", "heads": "qkv:heads"}
SPACES["written"] = {**SIZES, "value": "v:out"}
EVERY = [(kind, label) for kind, spaces in SPACES.items() for label in spaces]
APART = [kind for kind in KINDS if kind not in ("packed", "shared")]


class Attends(nn.Module):
    """One attention between an embedding and an output."""

    def __init__(self, kind):
        super().__init__()
        self.kind, (self.heads, self.groups) = kind, KINDS[kind]
        self.embed, self.place = nn.Embedding(VOCABULARY, WIDTH), nn.Parameter(torch.randn(TOKENS, WIDTH))
        self.q = nn.Linear(WIDTH, self.heads * SIZE)
        self.k, self.v = nn.Linear(WIDTH, self.groups * SIZE, bias=False), nn.Linear(WIDTH, self.groups * SIZE)
        if kind in ("packed", "shared"):
            self.qkv = nn.Linear(WIDTH, 3 * self.heads * SIZE)
        self.proj, self.head = nn.Linear(self.heads * SIZE, WIDTH), nn.Linear(WIDTH, VOCABULARY)

    def parts(self, x):
        if self.kind == "shared":
            return self.qkv(x).view(*x.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        if self.kind == "packed":
            return [part.view(*x.shape[:2], self.heads, SIZE).transpose(1, 2) for part in self.qkv(x).chunk(3, -1)]
        made = ((self.q, self.heads), (self.k, self.groups), (self.v, self.groups))
        return [layer(x).view(*x.shape[:2], heads, -1).transpose(1, 2) for layer, heads in made]

    def forward(self, tokens):
        x = self.embed(tokens) + self.place
        q, k, v = self.parts(x)
        if self.kind == "written":
            y = torch.softmax(q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1]), -1) @ v
        else:
            y = F.scaled_dot_product_attention(
                q, k, v, is_causal=self.kind != "open", enable_gqa=self.groups < self.heads
            )
        return self.head(x + torch.tanh(self.proj(y.transpose(1, 2).flatten(2))))


def loss(output, target):
    return F.cross_entropy(output.flatten(0, 1), target.flatten())


def samples(count=24):
    x = torch.randint(0, VOCABULARY, (count, TOKENS), generator=torch.Generator().manual_seed(3))
    return x, (x + x[:, :1] * torch.arange(TOKENS)) % VOCABULARY


@cache
def attention_of(kind):
    torch.manual_seed(0)
    return from_module(Attends(kind).double().eval(), samples(2)[0])


@cache
def looked_at(kind):
    captured = attention_of(kind)
    x, y = samples()
    parts = split([(x[:11], y[:11]), (x[11:], y[11:])], 0.0)
    spaces = [captured.space(name) for name in SPACES[kind].values()]
    flows, notes = find_flows(captured, spaces)
    assert not notes
    found = collect(captured, flows, loss, parts.fit)
    assert not found.reasons
    sites = [site_of(captured, flow, found, parts.fit) for flow in flows.values()]
    return dict(zip(SPACES[kind], sites, strict=True)), parts


def by_hand(kind):
    """Per sample: features with a constant, attention weights, and the gradients by scores and by what is read."""
    captured = attention_of(kind)
    model = captured.model
    for tokens, target in zip(*samples(), strict=True):
        x = (model.embed(tokens) + model.place).detach()
        q, k, v = (part[0].detach() for part in model.parts(x[None]))
        share = model.heads // model.groups
        weights = torch.zeros(model.heads, TOKENS, TOKENS).double()
        for h in range(model.heads):
            for t in range(TOKENS):
                seen = TOKENS if kind in ("open", "written") else t + 1
                scores = torch.stack([q[h, t] @ k[h // share, s] / SIZE**0.5 for s in range(seen)])
                weights[h, t, :seen] = scores.exp() / scores.exp().sum()
        read = torch.cat([weights[h] @ v[h // share] for h in range(model.heads)], 1).requires_grad_()
        out = model.proj(read)
        gradient, done = torch.autograd.grad(
            loss(model.head(x + torch.tanh(out))[None], target[None]), [read, out], retain_graph=True
        )
        by_scores = torch.zeros_like(weights)
        for h in range(model.heads):
            for t in range(TOKENS):
                p = weights[h, t]
                jacobian = torch.diag(p) - torch.outer(p, p)
                by_weights = v[h // share] @ gradient[t, h * SIZE : (h + 1) * SIZE]
                by_scores[h, t] = jacobian @ by_weights
        yield torch.cat([x, torch.ones(TOKENS, 1).double()], 1), weights, by_scores, done


@pytest.mark.parametrize("kind", APART)
def test_score_moments_are_those_of_explicit_softmax_jacobians(kind):
    sites, _ = looked_at(kind)
    found, model = sites["query_key"].moments, attention_of(kind).model
    N, S = torch.zeros(model.heads, WIDTH + 1, WIDTH).double(), torch.zeros(WIDTH + 1, WIDTH + 1).double()
    for x, _, by_scores, _ in by_hand(kind):
        for t in range(TOKENS):
            S += torch.outer(x[t], x[t])
            for s in range(TOKENS):
                for h in range(model.heads):
                    # In torch's attention the product is divided by the root of the size first.
                    N[h] -= by_scores[h, t, s] * torch.outer(x[t], x[s, :-1]) / SIZE**0.5
    torch.testing.assert_close(found.N, N)
    torch.testing.assert_close(found.S_q, S)
    torch.testing.assert_close(found.S_k, S[:-1, :-1])
    assert found.keys[1].tolist() == [h // (model.heads // model.groups) for h in range(model.heads)]


@pytest.mark.parametrize("kind", APART)
def test_value_moments_are_those_of_attended_inputs(kind):
    sites, _ = looked_at(kind)
    model = attention_of(kind).model
    share, count = model.heads // model.groups, len(samples()[0])
    for group, found in enumerate(sites["value"].moments):
        S, N = torch.zeros(WIDTH + 1, WIDTH + 1).double(), torch.zeros(WIDTH + 1, model.heads, WIDTH).double()
        for x, weights, _, done in by_hand(kind):
            for h in range(group * share, (group + 1) * share):
                for t in range(TOKENS):
                    B = sum(weights[h, t, s] * x[s] for s in range(TOKENS))
                    S += torch.outer(B, B)
                    N[:, h] -= torch.outer(B, done[t])
        # An output reads the entry at as many places as heads share it, see `position_weights`.
        torch.testing.assert_close(found.S, share * S / count)
        torch.testing.assert_close(found.N_goal, N.flatten(1) / count)


@pytest.mark.parametrize("kind", ["causal", "packed"])
def test_a_new_head_reads_the_mean_of_its_inputs(kind):
    sites, _ = looked_at(kind)
    (found,), count = sites["heads"].moments, len(samples()[0])
    seen = torch.ones(TOKENS, TOKENS).tril().double()
    S, N = torch.zeros(WIDTH + 1, WIDTH + 1).double(), torch.zeros(WIDTH + 1, WIDTH).double()
    for x, _, _, done in by_hand(kind):
        for t in range(TOKENS):
            B = sum(seen[t, s] / (t + 1) * x[s] for s in range(t + 1))
            S += torch.outer(B, B)
            N -= torch.outer(B, done[t])
    torch.testing.assert_close(found.S, S / count)
    torch.testing.assert_close(found.N_goal[:, :WIDTH], N / count)
    assert not found.N_goal[:, WIDTH:].any()


@pytest.mark.share(0.42)
@pytest.mark.parametrize(("kind", "label"), EVERY)
def test_first_order_is_that_of_finite_differences(kind, label):
    sites, parts = looked_at(kind)
    site = sites[label]
    draft = site.draft(METHODS.find("tiny"), MethodRequest(neurons=2, significance=0.0))
    channels = site.channels(draft)
    trial = Trial(attention_of(kind), site.flow.space, channels.count, loss)
    channels, slope = site.aimed(channels, trial)
    start = mean_loss(attention_of(kind), loss, parts.fit)
    for amplitude in (channels.at(0.0), channels.at(1.0).silent):
        trial.put(amplitude)
        assert trial.mean_loss(parts.fit) == pytest.approx(start, rel=1e-12)
    drops, size = [], 1e-3 / float(draft.scores.sum())
    for sign in (1, -1):
        trial.put(channels.scaled(size**0.5, sign * size**0.5))
        drops.append(start - trial.mean_loss(parts.fit))
    assert (drops[0] - drops[1]) / (2 * size) == pytest.approx(slope, rel=1e-5)
    if label == "query_key":
        assert slope == pytest.approx(float(draft.scores.square().sum()), rel=1e-9)


@pytest.mark.parametrize("kind", ["causal", "grouped"])
def test_new_dimensions_do_what_the_weights_there_cannot(kind):
    sites, _ = looked_at(kind)
    site, model = sites["query_key"], attention_of(kind).model
    channels = site.draft(METHODS.find("tiny"), MethodRequest(neurons=2, significance=0.0))
    k = channels.keys @ site.moments.S_k @ model.k.weight.detach().view(model.groups, SIZE, WIDTH).mT
    assert float(k.abs().max()) < 1e-8 * float(channels.keys.abs().max() * site.moments.S_k.abs().max())
    share = model.heads // model.groups
    rows = torch.cat([model.q.weight, model.q.bias.unsqueeze(1)], 1).detach().view(model.groups, share, SIZE, -1)
    q = channels.queries.view(model.groups, share, -1, WIDTH + 1) @ site.moments.S_q @ rows.mT
    assert float(q.sum(1).abs().max()) < 1e-8 * float(channels.queries.abs().max() * site.moments.S_q.abs().max())


@pytest.mark.share(0.42)
@pytest.mark.parametrize(("kind", "label"), [each for each in EVERY if each[0] != "open"])
def test_what_is_promised_is_obtained(kind, label):
    captured = attention_of(kind)
    x, y = samples(96)
    name = SPACES[kind][label]
    size = captured.space(name).size
    plan = propose_for_module(captured, loss, [(x, y)], spaces=[name], neurons=2, shrinkage=0.01)
    best = plan.best
    assert best is not None
    assert best.weights is not None, best.note
    grown = captured.copied()
    apply_to_module(grown, best)
    with torch.no_grad():
        found = float(loss(grown.model(x), y))
        assert float(loss(captured.model(x), y)) - found == pytest.approx(best.gain, rel=1e-6)
    assert best.gain > 0
    assert grown.space(name).size == size + best.channels
