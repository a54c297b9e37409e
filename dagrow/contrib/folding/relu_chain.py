"""A chain of linear layers with ReLU between them, as matrices: piecewise linear, so everything is known exactly.

Symbols: n samples, D inputs, C outputs (classes); ``b_l`` what layer l reads, from 0: ``b_0 = x``,
``b_(l+1) = relu(W_l b_l + c_l)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

CHAIN = "relu_chain"
"""A need of methods: the network itself as a `ReluChain` with labelled samples, as `ChainSamples`."""


@dataclass(frozen=True)
class Segment:
    """The affine map that the network is around one sample, as long as no ReLU switches.

    Attributes:
        weight: ``[C, D]``.
        bias: ``[C]``.
        pattern: per hidden layer, which units are on, ``[units]``.
    """

    weight: Tensor
    bias: Tensor
    pattern: tuple[Tensor, ...]

    @property
    def name(self) -> str:
        """Which units are on, layer by layer: ``101|01``."""
        return "|".join("".join("1" if on else "0" for on in units.tolist()) for units in self.pattern)


@dataclass(frozen=True)
class ReluChain:
    """``W_L relu(... relu(W_0 x + c_0) ...) + c_L``; float64.

    Attributes:
        weights: per layer ``[out, in]``.
        biases: per layer ``[out]``; zeros where a layer has none.
    """

    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]

    @property
    def hidden(self) -> int:
        """How many hidden layers; also the number of the last layer."""
        return len(self.weights) - 1

    def read(self, x: Tensor, layer: int) -> Tensor:
        """What a layer reads, ``b_layer``: the inputs for layer 0.

        Args:
            x: ``[..., D]``.
            layer: from 0.
        """
        for weight, bias in zip(self.weights[:layer], self.biases[:layer], strict=True):
            x = (x @ weight.T + bias).relu()
        return x

    def __call__(self, x: Tensor) -> Tensor:
        """The outputs ``[..., C]``."""
        return self.read(x, self.hidden) @ self.weights[-1].T + self.biases[-1]

    def pattern(self, x: Tensor) -> tuple[Tensor, ...]:
        """Per hidden layer, which units are on at ``x``: those with an output above 0."""
        return tuple(self.read(x, layer + 1) > 0 for layer in range(self.hidden))

    def local(self, x: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """What a layer reads as an affine map of the inputs around ``x [D]``: ``[in, D]`` and ``[in]``."""
        weight = torch.eye(len(x), dtype=x.dtype, device=x.device)
        bias = torch.zeros_like(x)
        for on, W, c in zip(self.pattern(x)[:layer], self.weights, self.biases, strict=False):
            weight, bias = on[:, None] * (W @ weight), on * (W @ bias + c)
        return weight, bias

    def segment(self, x: Tensor) -> Segment:
        """The activated linear segment of one sample ``[D]``: the layers multiplied, without the units that are off."""
        weight, bias = self.local(x, self.hidden)
        return Segment(self.weights[-1] @ weight, self.weights[-1] @ bias + self.biases[-1], self.pattern(x))

    def boundaries(self, x: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Per sample, ``w`` and ``b`` of output ``first`` less output ``second`` on its own segment.

        Args:
            x: ``[n, D]``.
            first: ``[n]``, a class each.
            second: ``[n]``.

        Returns:
            ``[n, D]`` and ``[n]``; ``w x + b = 0`` is the decision boundary between the two classes there.
        """
        w = self.weights[-1][first] - self.weights[-1][second]
        b = self.biases[-1][first] - self.biases[-1][second]
        for on, weight, bias in zip(self.pattern(x)[::-1], self.weights[-2::-1], self.biases[-2::-1], strict=True):
            w = w * on
            w, b = w @ weight, b + w @ bias
        return w, b

    def walls(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The segment of one sample ``[D]`` as a polyhedron: ``A [H, D]`` and ``c [H]``, it is where ``A x + c >= 0``.

        One row per unit, layer by layer: its pre-activation as a map of the inputs, turned round where it is off.
        """
        rows, offsets = [], []
        for layer, on in enumerate(self.pattern(x)):
            weight, bias = self.local(x, layer)
            sign = torch.where(on, 1.0, -1.0).to(x)
            rows.append(sign[:, None] * (self.weights[layer] @ weight))
            offsets.append(sign * (self.weights[layer] @ bias + self.biases[layer]))
        return torch.cat(rows), torch.cat(offsets)

    def gradients(self, x: Tensor, gradient: Tensor, layer: int) -> Tensor:
        """Gradients of the losses in the pre-activations of a layer.

        Args:
            x: ``[n, D]``.
            gradient: ``[n, C]``, of the loss of each sample in its outputs.
            layer: from 0.

        Returns:
            ``[n, out]``.
        """
        pattern = self.pattern(x)
        for index in range(self.hidden, layer, -1):
            gradient = (gradient @ self.weights[index]) * pattern[index - 1]
        return gradient

    def usual_fan_in(self, layer: int) -> Tensor:
        """Root mean square length of the fan-ins of a layer: a number."""
        length: Tensor = self.weights[layer].norm(dim=1).square().mean().sqrt()
        return length

    def effect(self, x: Tensor, layer: int) -> Tensor:
        """How the outputs move with the pre-activations of a layer around ``x [D]``: ``[C, out]``."""
        pattern = self.pattern(x)
        moved = torch.eye(len(self.biases[-1]), dtype=x.dtype, device=x.device)
        for index in range(self.hidden, layer, -1):
            moved = moved @ (self.weights[index] * pattern[index - 1])
        return moved


@dataclass(frozen=True)
class LabelledPredictions:
    """Samples with what the network makes of them.

    Attributes:
        x: ``[n, D]`` float64, inputs as vectors.
        loss: ``[n]``, of each sample.
        predicted: ``[n]``, the class of the largest output.
        target: ``[n]``, the right class.
        index: ``[n]``, the number of each sample in the data, from 0.
        gradient: ``[n, C]``, of the loss of each in its outputs; None where nobody asks for it.
    """

    x: Tensor
    loss: Tensor
    predicted: Tensor
    target: Tensor
    index: Tensor
    gradient: Tensor | None = None


@dataclass(frozen=True)
class ChainSamples:
    """A network as a chain, seen from one of its layers, with samples to judge it by.

    Attributes:
        chain: the network.
        judged: a bounded part of the samples.
        layer: the one that may grow, from 0.
    """

    chain: ReluChain
    judged: LabelledPredictions
    layer: int
