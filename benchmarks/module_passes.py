"""What a look at a ResNet-18 of one's own costs, in forward-and-backward passes of the samples looked at, and in time.

    python benchmarks/module_passes.py --npz cifar10_20k.npz --width 16 --samples 256

The network is torchvision's with a stem for images of 32 x 32 pixels (a 3 x 3 convolution, no pool), trained for a few
steps. `dagrow.spot` looks at all 12 spaces, `dagrow.propose` also searches the amplitudes of the best ones. Samples
are counted where the module or its captured graph runs: a forward pass is a third of one there and back. Statistics
are no passes; their time is in the last column, as a multiple of that of a pass.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import dagrow
from dagrow.capture import batch_size
from dagrow.capture.module import CapturedModule
from dagrow.capture.program import Program

COUNTED: list[float] = []


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False), nn.BatchNorm2d(c_out)
        self.conv2, self.bn2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False), nn.BatchNorm2d(c_out)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or c_in != c_out:
            self.downsample = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        """Maps."""
        out = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(out + self.downsample(x))


class ResNet18(nn.Module):
    """Four stages of two blocks."""

    def __init__(self, width: int, classes: int = 10) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        sizes = [width, width, 2 * width, 4 * width, 8 * width]
        blocks = [
            nn.Sequential(Block(a, b, 1 if number == 0 else 2), Block(b, b, 1))
            for number, (a, b) in enumerate(pairwise(sizes))
        ]
        self.layers, self.fc = nn.Sequential(*blocks), nn.Linear(sizes[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of classes."""
        out: Tensor = self.fc(self.layers(torch.relu(self.bn1(self.conv1(x)))).mean((2, 3)))
        return out


def counted(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with the samples that it is called with counted."""

    def called(self: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        COUNTED.append(batch_size(inputs) * (1 if torch.is_grad_enabled() else 1 / 3))
        return function(self, inputs, *args, **kwargs)

    return called


def images(path: str, count: int) -> tuple[Tensor, Tensor]:
    """The first samples, in [-1, 1]."""
    with np.load(path) as data:
        x, y = torch.from_numpy(data["x_train"][:count]), torch.from_numpy(data["y_train"][:count])
    return x.float() / 127.5 - 1, y.long()


def main() -> None:
    """Prints a line per look."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--npz", required=True)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--neurons", type=int, default=8)
    given = parser.parse_args()
    x, y = images(given.npz, given.samples)
    torch.manual_seed(0)
    model = ResNet18(given.width)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(3):
        began = time.perf_counter()
        optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        optimizer.step()
        one = time.perf_counter() - began
    net = dagrow.from_module(model.eval(), x[:2])
    print(f"{len(net.growable)} spaces can grow; a pass of {given.samples} samples takes {one:.1f} s")
    CapturedModule.__call__ = counted(CapturedModule.__call__)  # type: ignore[method-assign]
    Program.run = counted(Program.run)  # type: ignore[method-assign]
    data = list(zip(x.split(64), y.split(64), strict=True))
    for name, look in (("spot", dagrow.spot), ("propose", dagrow.propose)):
        COUNTED.clear()
        began = time.perf_counter()
        plan: Any = look(net, cross_entropy, data, neurons=given.neurons)
        seconds = time.perf_counter() - began
        print(f"{name}: {sum(COUNTED) / given.samples:.2f} passes, {seconds:.0f} s ({seconds / one:.1f} passes)")
    print(plan)


if __name__ == "__main__":
    main()
