"""Small modules of every kind of space that has a linear path from its writers to its readers."""

from functools import cache

import torch
import torch.nn.functional as F
from torch import nn

from dagrow.capture import from_module


class Vectors(nn.Module):
    def __init__(self, act):
        super().__init__()
        self.act, self.first, self.last = act, nn.Linear(8, 2), nn.Linear(2, 3)

    def forward(self, x):
        return self.last(self.act(self.first(x.mean((1, 2)))))


class Plain(nn.Module):
    """The full kernels of both convolutions, with a stride; an average between them."""

    def __init__(self, act):
        super().__init__()
        self.act = act
        self.first, self.last = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, x):
        return self.last(F.avg_pool2d(self.act(self.first(x)), 2)).mean((2, 3))


class Flat(nn.Module):
    def __init__(self, act):
        super().__init__()
        self.act, self.first, self.last = act, nn.Conv2d(3, 2, 3), nn.Linear(2 * 4, 3)

    def forward(self, x):
        return self.last(F.avg_pool2d(self.act(self.first(x)), 3).flatten(1))


class Depthwise(nn.Module):
    def __init__(self, act):
        super().__init__()
        self.act = act
        self.first, self.bn1 = nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4)
        self.depth, self.bn2 = nn.Conv2d(4, 4, 3, 2, 1, groups=4, bias=False), nn.BatchNorm2d(4)
        self.last = nn.Conv2d(4, 3, 1)

    def forward(self, x):
        return self.last(self.act(self.bn2(self.depth(self.act(self.bn1(self.first(x))))))).mean((2, 3))


class Across(nn.Module):
    """A concatenation whose first part is read by two layers, once beside other channels."""

    def __init__(self, act):
        super().__init__()
        self.act = act
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 5, 3, padding=1)
        self.last = nn.Conv2d(9, 3, 1)

    def forward(self, x):
        one = self.act(self.first(x))
        return self.last(torch.cat([self.act(self.second(one)), one], 1)).mean((2, 3))


class IndexedBatches(nn.Module):
    """A residual stream under batch norm: three writers, three readers."""

    def __init__(self, act):
        super().__init__()
        self.act = act
        self.first, self.bn = nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.ins = nn.ModuleList(nn.Conv2d(4, 3, 3, padding=1) for _ in range(2))
        self.outs = nn.ModuleList(nn.Conv2d(3, 4, 3, padding=1, bias=False) for _ in range(2))
        self.norms = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(2))
        self.last = nn.Linear(4, 3)

    def forward(self, x):
        x = self.act(self.bn(self.first(x)))
        for into, out, norm in zip(self.ins, self.outs, self.norms, strict=True):
            x = self.act(x + norm(out(self.act(into(x)))))
        return self.last(x.mean((2, 3)))


KINDS = {
    "vectors": (Vectors, "first:out"),
    "conv": (Plain, "first:out"),
    "flattened": (Flat, "first:out"),
    "depthwise": (Depthwise, "first:out"),
    "concat": (Across, "first:out"),
    "stream": (IndexedBatches, "first:out"),
}


@cache
def module_of(kind, act=nn.Identity):
    """A captured module in float64 and eval mode, all averages moved off their defaults, and its space."""
    torch.manual_seed(0)
    make, space = KINDS[kind]
    model = make(act()).double().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    captured = from_module(model, torch.randn(2, 3, 8, 8).double())
    return captured, captured.space(space)


def samples(count=48):
    """Images and classes that hang on where they are bright."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(count, 3, 8, 8, generator=generator, dtype=torch.float64)
    bright = (x + x.roll(1, 2) * x).mean((1, 2))
    return x, torch.stack([bright[:, :2].sum(1), bright[:, 2:5].sum(1), bright[:, 5:].sum(1)], 1).argmax(1)
