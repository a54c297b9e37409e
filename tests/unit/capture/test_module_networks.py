"""Modules written in the graph language: the network has the weights, and computes the same, also after a file."""

from functools import cache

import pytest
import torch
import torch.nn.functional as F
from capture_zoo import ResNet, Vgg
from torch import nn

import dagrow
from dagrow.errors import CaptureError


def mlp():
    return nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Dropout(0.3), nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))


class Tokens(nn.Module):
    """Layer norm, a sum of two linear layers, and a mean over tokens."""

    def __init__(self, norm=nn.LayerNorm):
        super().__init__()
        self.one, self.two, self.norm, self.last = nn.Linear(4, 6), nn.Linear(4, 6), norm(6), nn.Linear(6, 3)

    def forward(self, x):
        return self.last(F.gelu(self.norm(self.one(x) + self.two(x))).mean(1))


class Paths(nn.Module):
    """Two inputs, two outputs, a value added to itself, a concat, pools of all kinds and a group norm."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.norm = (
            nn.Conv1d(2, 4, 3, padding=1),
            nn.Conv1d(3, 4, 3, padding="same"),
            nn.GroupNorm(1, 4),
        )
        self.head = nn.Linear(8 * 4, 2)

    def forward(self, a, b):
        one, two = F.avg_pool1d(F.silu(self.a(a)), 2), F.adaptive_avg_pool1d(self.norm(self.b(b)), 4)
        both = torch.cat([one + one, two], 1)
        return self.head(both.flatten(1)), both.mean(2)


class Up(nn.Module):
    """Down, and up in two ways; one of torch's ways to write it, with sizes asked for."""

    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.up, self.last = nn.ConvTranspose2d(4, 5, 2, stride=2, bias=False), nn.Conv2d(9, 2, 1)

    def forward(self, x):
        deep = F.elu(self.down(x))
        wide = torch.cat((self.up(deep), F.interpolate(deep, scale_factor=2)), dim=1)
        return self.last(wide).mean((-2, -1), keepdim=True).contiguous().view(x.size(0), -1)


CASES = {
    "mlp": (mlp, (5,)),
    "resnet": (ResNet, (3, 8, 8)),
    "vgg": (Vgg, (3, 8, 8)),
    "up": (Up, (3, 8, 8)),
    "tokens": (Tokens, (7, 4)),
    "tokens_rms": (lambda: Tokens(nn.RMSNorm), (7, 4)),
}


def trained(model):
    """So that no norm is at its start."""
    torch.manual_seed(1)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                tensor.copy_(torch.rand_like(tensor) + 0.2)
    return model


@cache
def written(name):
    make, shape = CASES[name]
    model = trained(make().double().eval())
    x = torch.randn(3, *shape, dtype=torch.float64)
    return model, x, dagrow.network_of(dagrow.from_module(model, x))


@pytest.mark.parametrize("name", CASES)
def test_a_module_becomes_a_network_that_computes_the_same(name, tmp_path):
    model, x, network = written(name)
    with torch.no_grad():
        torch.testing.assert_close(network(x), model(x), rtol=1e-10, atol=1e-12)
    assert sum(p.numel() for p in network.parameters()) == sum(p.numel() for p in model.parameters())
    dagrow.save_graph(network.spec, tmp_path / "graph.yaml")
    again = dagrow.build(dagrow.load_graph(tmp_path / "graph.yaml"), seed=1).double().eval()
    again.load_state_dict(network.state_dict())
    with torch.no_grad():
        assert torch.equal(again(x), network(x))


def test_several_inputs_and_outputs():
    model = trained(Paths().double())
    a, b = torch.randn(3, 2, 8, dtype=torch.float64), torch.randn(3, 3, 8, dtype=torch.float64)
    network = dagrow.network_of(dagrow.from_module(model, (a, b)))
    for found, expected in zip(network(a, b), model(a, b), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    assert network.training
    assert list(network.spec.inputs) == ["a", "b"]


def test_nodes_take_in_what_follows_them():
    spec = written("mlp")[2].spec
    assert list(spec.nodes) == ["layer_0", "layer_3", "layer_5"]
    assert spec.nodes["layer_0"].dropout == 0.3
    spec = written("resnet")[2].spec
    block = spec.nodes["layer1_0_conv1"]
    assert (block.size, block.norm, block.activation) == (8, "batch", "relu")
    assert spec.nodes["layer2_1_sum"].pool.kind == "global_average"
    assert {str(edge) for edge in spec.edges if edge.target == "layer2_0_sum"} == {
        "layer2_0_conv2 -> layer2_0_sum",
        "layer2_0_downsample_0 -> layer2_0_sum",
    }


def test_frozen_weights_stay_frozen():
    model = mlp()
    model[3].weight.requires_grad_(False)
    network = dagrow.network_of(dagrow.from_module(model, torch.randn(2, 5)))
    assert [name for name, p in network.named_parameters() if not p.requires_grad] == ["layer_3.from_layer_0.weight"]


class Of(nn.Module):
    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        self.first, self.last = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x):
        return self.function(self, self.first(x))


@pytest.mark.parametrize(
    ("function", "layers", "message"),
    [
        (lambda m, h: torch.sigmoid(h), {}, r"sigmoid at test_module_networks.py:\d+ `.*` has nothing like it there"),
        (lambda m, h: F.leaky_relu(h, 0.3), {}, "leaky_relu .* has other options than the activation of that name"),
        (lambda m, h: 2 * h, {}, "mul .* has nothing like it there"),
        (lambda m, h: h + 1, {}, "add .* takes a number or a tensor that no layer computes"),
        (lambda m, h: m.norm(h), {"norm": nn.BatchNorm2d(4, eps=1e-3)}, "batch_norm in norm .* has eps 0.001"),
        (lambda m, h: m.norm(h), {"norm": nn.GroupNorm(2, 4)}, "group_norm in norm .* has groups"),
        (lambda m, h: m.more(m.more(h)), {"more": nn.Conv2d(4, 4, 1)}, "has the weight more.weight, which conv2d in"),
        (lambda m, h: F.max_pool2d(h, (1, 2)), {}, "max_pool2d .* has a kernel that is not the same along all axes"),
        (lambda m, h: F.adaptive_avg_pool2d(h, 4), {}, r"makes \[4, 4\] of \[6, 6\]"),
        (lambda m, h: h.flatten(2), {}, r"flatten .* makes \[4, 36\] of \[4, 6, 6\]"),
        (lambda m, h: m.up(h), {"up": nn.ConvTranspose2d(4, 4, 2, groups=2)}, "conv_transpose2d in up .* has groups"),
        (lambda m, h: F.adaptive_avg_pool2d(h, 1), {}, "keeps positions of extent 1"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_line(function, layers, message):
    captured = dagrow.from_module(Of(function, **layers).eval(), torch.randn(2, 3, 8, 8))
    with pytest.raises(CaptureError, match=message):
        dagrow.network_of(captured)
