"""Growth by folding: a new neuron whose crease goes through the boundary point nearest to a typical mistake.

After J. Kang, "Explainable Network Growth by Folding on Typical Mis-predictions" (slides, 2025). Around the typical
mis-predicted instance x_t the network is one affine map, the activated linear segment. Between the class i that it
predicts and the right class j lies the boundary ``w x + b = 0`` of that map, ``w = w_(i-j)``; its point nearest to x_t
is the fold point ``x_f = x_t - (w x_t + b) / (w w) w``. The new neuron is 0 at x_f and reads along ``x_t - x_f``, so it
is on at x_t, and what it adds to ``dl/dx`` there lies along ``x_t - x_f`` (Lemma 2, Theorem 4); or, with a free
direction (Lemma 1), it is turned about x_f as `dagrow.contrib.folding.broaden` says. Its fan-out is small
(Lemma 4) but not 0 (Lemma 5), and raises j over i. In a later layer the same holds of what that layer reads: along
``b(x_t) - b(x_f)``, and the crease in the inputs goes through x_f just so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import degrees
from typing import Any

import torch
from torch import Tensor

from dagrow.contrib.folding.broaden import Direction, broadened
from dagrow.contrib.folding.fold_point import Within, fold_point
from dagrow.contrib.folding.relu_chain import CHAIN, ChainSamples, LabelledPredictions, ReluChain, Segment
from dagrow.contrib.folding.representative_error import typical
from dagrow.methods import MethodRequest, Neurons, Scene, SiteMoments, SmallFanOut, Straight

MINIMAL = 0.1
"""Norm of the new fan-out over the root mean square norm of those that are there."""
_SHOWN = 3
"""Inputs up to which a point is written out in a line."""


@dataclass(frozen=True)
class Fold:
    """One fold, and why it is where it is.

    Attributes:
        sample: number of the typical mis-predicted instance in the data, from 0.
        instance: its inputs ``[D]``, x_t.
        predicted: its class i, as the network has it.
        target: its class j, as it should be.
        segment: the activated linear segment at the instance.
        normal: ``[D]``, ``w_(i-j)`` of the decision boundary of that segment.
        offset: ``b_(i-j)``.
        point: ``[D]``, the fold point x_f.
        within: where the fold point lies, seen from the segment: inside, at its edge or outside.
        layer: which layer the new neuron is in, from 0.
        angle: between the fan-in and what the layer reads at the instance less what it reads at the fold point, in
            radians; 0 without a free direction.
        fan_in: ``[F + 1]``, of what the layer reads, the constant last.
        fan_out: ``[M]``, to the pre-activations of the next layer.
        crease: ``[D]`` and a number: the pre-activation of the new neuron around the fold point, as a map of the
            inputs. It is 0 on the crease.
        reach: by how much a unit of fan-out moves output j over output i at the instance.
        chain: the network before the fold.
        judged: the samples.
    """

    sample: int
    instance: Tensor
    predicted: int
    target: int
    segment: Segment
    normal: Tensor
    offset: float
    point: Tensor
    within: Within
    layer: int
    angle: float
    fan_in: Tensor
    fan_out: Tensor
    crease: tuple[Tensor, float]
    reach: float
    chain: ReluChain = field(repr=False)
    judged: LabelledPredictions = field(repr=False)

    def __str__(self) -> str:
        away = float((self.instance - self.point).norm())
        through = f"fold point {_written(self.point)}".rstrip()
        beyond = f" ({self.within.value})" if self.within.value else ""
        turned = f", turned by {degrees(self.angle):.0f} degrees" if self.angle else ""
        return (
            f"folds for sample {self.sample} {_written(self.instance)}".rstrip()
            + f", class {self.target} taken for {self.predicted}: segment {_units(self.segment)}, "
            f"boundary {away:.3g} away, crease through the {through}{beyond}{turned}"
        )

    @property
    def entry(self) -> dict[str, Any]:
        """As it is kept in a journal: plain numbers."""
        return {
            "sample": self.sample,
            "instance": self.instance.tolist(),
            "predicted": self.predicted,
            "target": self.target,
            "segment": self.segment.name,
            "boundary": {"weight": self.normal.tolist(), "bias": self.offset},
            "fold_point": self.point.tolist(),
            "within_segment": self.within is not Within.BEYOND,
            "at_edge": self.within is Within.EDGE,
            "angle": self.angle,
            "layer": self.layer,
            "crease": {"weight": self.crease[0].tolist(), "bias": self.crease[1]},
        }

    @property
    def scene(self) -> Scene | None:
        """The instance, its segment and its boundary, and the crease; of inputs in a plane only."""
        if len(self.instance) != 2:
            return None
        own = torch.cat(self.segment.pattern)
        present = zip(self.chain.weights[0], self.chain.biases[0].tolist(), strict=True)
        return Scene(
            points=self.judged.x,
            labels=self.judged.target,
            classify=lambda points: self.chain(points).argmax(1),
            region=lambda points: (torch.cat(self.chain.pattern(points), dim=1) == own).all(1),
            region_name=f"segment {_units(self.segment)}",
            lines=(
                *(Straight("present", weight, bias) for weight, bias in present),
                Straight("boundary", self.normal, self.offset, "its boundary"),
                Straight("crease", *self.crease, "new crease"),
            ),
            marks={f"mis-predicted sample {self.sample}": self.instance, "fold point": self.point},
        )


def folding(moments: SiteMoments, request: MethodRequest) -> Neurons:
    """One neuron that folds the network for its typical mis-predicted instance; none if there is none."""
    return _neurons(moments, request, free=False)


def _neurons(moments: SiteMoments, request: MethodRequest, *, free: bool) -> Neurons:
    here: ChainSamples = moments.supplies[CHAIN]()
    found = fold(here.chain, here.judged, here.layer, request.seed, free=free)
    if isinstance(found, str):
        return Neurons.none(moments, found)
    return Neurons(
        alpha=found.fan_in.unsqueeze(1),
        omega=found.fan_out.unsqueeze(0),
        scores=found.fan_in.new_tensor([found.reach]),
        mode=SmallFanOut(),
        why=found,
    )


def folding_free(moments: SiteMoments, request: MethodRequest) -> Neurons:
    """As `folding`, the crease turned about the fold point by its free direction."""
    return _neurons(moments, request, free=True)


def fold(chain: ReluChain, samples: LabelledPredictions, layer: int, seed: int, *, free: bool = False) -> Fold | str:
    """The fold of a network for its typical mis-predicted instance, or why there is none.

    Args:
        chain: the network.
        samples: of which the typical one is chosen.
        layer: the hidden layer that gets the neuron, from 0.
        seed: of k-means.
        free: whether the crease has a free direction; the samples have gradients then.
    """
    if not bool((samples.predicted != samples.target).any()):
        return "no sample is mis-predicted"
    normals, offsets = chain.boundaries(samples.x, samples.predicted, samples.target)
    index = typical(samples, (normals != 0).any(1), seed)
    if index is None:
        return "at no mis-predicted sample do the outputs move with the inputs: all units of a layer are off"
    x_t, i, j = samples.x[index], int(samples.predicted[index]), int(samples.target[index])
    through = fold_point(x_t, normals[index], offsets[index], chain.walls(x_t))
    x_f = through.x
    b_f = chain.read(x_f, layer)
    away = chain.read(x_t, layer) - b_f
    if not bool(away.norm() > 0):
        return "the typical mis-predicted sample and its fold point look the same to the layer"
    moved = chain.effect(x_t, layer + 1)
    raised = moved[j] - moved[i]
    usual = chain.weights[layer + 1].norm(dim=0).square().mean().sqrt()
    fan_out = raised / raised.norm() * MINIMAL * usual
    chosen = broadened(chain, samples, layer, away, b_f, fan_out) if free else Direction(away / away.norm())
    # Of the size of those beside it, so that it learns at their pace.
    direction = chosen.vector * chain.usual_fan_in(layer)
    jacobian, constant = chain.local(x_f, layer)
    bias = -(direction @ b_f)
    return Fold(
        sample=int(samples.index[index]),
        instance=x_t,
        predicted=i,
        target=j,
        segment=chain.segment(x_t),
        normal=normals[index],
        offset=float(offsets[index]),
        point=x_f,
        within=through.within,
        layer=layer,
        angle=chosen.angle,
        fan_in=torch.cat([direction, bias.unsqueeze(0)]),
        fan_out=fan_out,
        crease=(direction @ jacobian, float(direction @ constant + bias)),
        reach=float(raised.norm() * (direction @ away)),
        chain=chain,
        judged=samples,
    )


def _written(point: Tensor) -> str:
    """A point in a line, where it is short."""
    return f"({', '.join(f'{value:.3g}' for value in point.tolist())})" if len(point) <= _SHOWN else ""


def _units(segment: Segment) -> str:
    """Which units are on; how many of how many where they are many."""
    count = sum(len(units) for units in segment.pattern)
    return segment.name if count <= 16 else f"with {sum(int(on.sum()) for on in segment.pattern)} of {count} units on"
