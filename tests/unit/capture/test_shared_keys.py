"""Heads that share keys and values, as people write them: by the kernel where the code runs, by hand elsewhere."""

import torch
from torch import nn

import dagrow
from dagrow.capture import from_module
from dagrow.resize import widen


class SharedKeys(nn.Module):
    """Groups of queries share keys: the kernel sees to it where it runs, ``repeats`` where it is captured."""

    def __init__(self):
        super().__init__()
        self.repeats = 2
        self.q, self.k, self.v = nn.Linear(8, 4 * 6), nn.Linear(8, 2 * 6), nn.Linear(8, 2 * 6)
        self.out = nn.Linear(4 * 6, 8)

    def forward(self, x):
        q, k, v = (layer(x).view(*x.shape[:2], -1, 6).transpose(1, 2) for layer in (self.q, self.k, self.v))
        captured = torch.compiler.is_exporting()
        if captured:
            k, v = (y[:, :, None].expand(-1, -1, self.repeats, -1, -1).flatten(1, 2) for y in (k, v))
        found = nn.functional.scaled_dot_product_attention(q, k, v, enable_gqa=not captured)
        return self.out(found.transpose(1, 2).flatten(2))


def outputs(net):
    with torch.no_grad():
        return [net(x) for x in net.examples()]


def made():
    torch.manual_seed(0)
    return from_module(SharedKeys().double().eval(), torch.randn(2, 5, 8, dtype=torch.float64))


def test_a_size_that_code_reads_only_where_it_is_captured():
    net = made()
    before = outputs(net)
    groups = [space for space in net.growable if space.label == "heads"]
    assert [space.size for space in groups] == [2, 2]
    for space in groups:
        widen(net, space.name, 1)
        for one, other in zip(outputs(net), before, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-9 * float(other.abs().max()))
        assert net.space(space.name).size == 3
    assert (net.model.repeats, net.model.q.out_features, net.model.k.out_features) == (3, 3 * 3 * 6, 3 * 6)


def test_queries_that_share_values_enter_silently():
    net = made()
    generator = torch.Generator().manual_seed(1)
    data = [tuple(torch.randn(20, 5, 8, generator=generator, dtype=torch.float64) for _ in range(2)) for _ in range(2)]
    plan = dagrow.propose(net, nn.functional.mse_loss, data, neurons=1, held_out=0.0)
    queries = [candidate for candidate in plan.candidates if "share the values that are there" in candidate.note]
    assert [(candidate.gain, candidate.rejected) for candidate in queries] == [(0.0, "")]
