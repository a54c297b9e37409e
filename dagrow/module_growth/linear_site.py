"""A space with linear paths from the layers that write it to those that read it, with its moments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch

from dagrow.capture import CapturedModule, named_tensors
from dagrow.methods import (
    CONSTANT,
    EXISTING,
    ExistingNeurons,
    FunctionPreserving,
    Method,
    MethodRequest,
    Neurons,
    SiteMoments,
    ZeroFanIn,
)
from dagrow.methods.padding import padded
from dagrow.module_growth.batches import Part
from dagrow.module_growth.entries import NewChannels
from dagrow.module_growth.flow import Flow
from dagrow.module_growth.moments import HeadEntries
from dagrow.module_growth.new_channels import directions, new_channels, zero_sum
from dagrow.module_growth.readers import existing_rows
from dagrow.module_growth.rows import rows_of
from dagrow.module_growth.trial import Insertion, Trial

LIFT = 1e-12
"""A pre-activation above 0, and as good as 0, so that neurons with a fan-in of 0 do not stay on the kink of a relu."""


@dataclass(frozen=True)
class LinearSite:
    """A space with linear paths from the layers that write it to those that read it.

    Attributes:
        captured: the module.
        flow: the paths.
        moments: of each entry of a channel.
        scale: what ``alpha^T S alpha`` is divided by for a mean square at one position.
        parts: the samples that neurons are made of.
        heads: of a space of heads or groups, what the entries of a new one are.
    """

    methods: ClassVar[tuple[str, ...]] = ()
    """The only ones that make its channels; empty for all."""

    captured: CapturedModule
    flow: Flow
    moments: tuple[SiteMoments, ...]
    scale: float
    parts: Sequence[Part]
    heads: HeadEntries | None = None

    @property
    def bottleneck(self) -> float:
        """``E||v_proj||^2`` over the layers that read."""
        return self.moments[0].v_proj_squared

    def directions(self, count: int) -> int:
        """How many neurons so many channels can be."""
        return directions(self.flow.space, count)

    def draft(self, method: Method, request: MethodRequest) -> Neurons:
        """The neurons; of several entries per channel, the best of each entry make up the first channel, and so on.

        Args:
            method: of growth.
            request: what is asked of it.
        """
        if request.neurons < 1:
            return Neurons.none(self.moments[0], "one channel alone would move the mean of its norms")
        moments = self.moments
        if EXISTING in method.needs:
            if any(self.flow.rows[writer].count > 1 for writer in self.flow.writers):
                return Neurons.none(self.moments[0], "a channel has several entries")
            moments = (replace(self.moments[0], existing=self._existing()),)
        if self.heads is not None:
            return self._heads(self.heads, method, request)
        found = [method(own, request) if is_read(own) else Neurons.none(own, "") for own in moments]
        if len(found) == 1:
            return self._entering(found[0])
        most = request.neurons if request.pad else max(neurons.count for neurons in found)
        if not most:
            return found[0]
        more = replace(request, neurons=most, pad=True)
        found = [_padded(neurons, own, more) for neurons, own in zip(found, moments, strict=True)]
        alpha = self.flow.rows[self.flow.writers[0]].arranged(torch.stack([neurons.alpha.T for neurons in found]))
        omega, squares = (
            torch.stack(each).sum(0) for each in zip(*((n.omega, n.scores**2) for n in found), strict=True)
        )
        return Neurons(alpha.T, omega, squares.sqrt(), mode=found[0].mode)

    def _entering(self, neurons: Neurons) -> Neurons:
        """Neurons that change nothing: none where norms would not let them; off the kink of their activations."""
        mode, none = neurons.mode, self.moments[0]
        if isinstance(mode, ZeroFanIn) and self.flow.norms:
            return Neurons.none(none, "behind a batch norm a fan-in has no size")
        if isinstance(mode, FunctionPreserving) and not isinstance(mode, ZeroFanIn) and self.flow.space.kind != "plain":
            return Neurons.none(none, "a fan-in alone changes what norms over all channels divide by")
        if not isinstance(mode, ZeroFanIn) or mode.initial_gradient is None:
            return neurons
        constants = int((none.feature_units == CONSTANT).sum())
        towards = mode.initial_gradient / mode.initial_gradient.norm(dim=0).clamp(min=1e-300)
        if constants:
            towards = torch.cat([torch.zeros_like(towards[:-constants]), torch.ones_like(towards[-constants:])])
        return replace(neurons, alpha=neurons.alpha + LIFT * towards)

    def _existing(self) -> ExistingNeurons:
        """The channels that are there, as neurons."""
        tensors = {name: tensor.detach().double() for name, tensor in named_tensors(self.captured.model)}
        ways, constants, outs = [], [], []
        for writer in self.flow.writers:
            ways.append(existing_rows(self.flow, writer, tensors)[0])
            if writer.bias is not None:
                constants.append(ways[-1][:, -1:])
                ways[-1] = ways[-1][:, :-1]
        for reader in self.flow.readers:
            axis, weight = reader.map.in_axis, tensors[reader.map.name]
            rows = rows_of(self.flow.analysis.tensors[reader.map.name][axis], self.flow.growing)
            assert rows is not None
            (start, stop), *_ = rows.spans
            out = reader.block.matrix(weight.narrow(axis, start, stop - start), axis)
            if reader.norm is not None and reader.norm.weight is not None:
                out = out * tensors[reader.norm.weight].unsqueeze(1)
            outs.append(out)
        return ExistingNeurons(torch.cat([*ways, *constants], 1).T, torch.cat(outs, 1))

    def _heads(self, heads: HeadEntries, method: Method, request: MethodRequest) -> Neurons:
        """Of neurons that all see the same, as many as a head has values make up a new head.

        Those of a group are spread over one channel more, by orthonormal rows of sum 0: its norm takes no mean off.
        """
        places, rows = len(heads.values), self.flow.rows[self.flow.writers[0]]
        each = places - self.flow.grouped
        found = method(self.moments[0], replace(request, neurons=request.neurons * each))
        count = -(-found.count // each)
        if not count:
            return found
        found = padded(found, self.moments[0], replace(request, neurons=count * each, pad=True))
        basis = zero_sum(each) if self.flow.grouped else torch.eye(places, dtype=torch.float64)
        spread = basis.to(found.alpha).T
        alpha = found.alpha.new_zeros(rows.count, count, len(found.alpha))
        alpha[heads.values] = (spread @ found.alpha.T.view(count, each, -1)).transpose(0, 1)
        first = [own.view(count, each, places, -1)[:, :, 0] for own in torch.split(found.omega, heads.widths, 1)]
        omega = torch.cat([(spread @ own).flatten(1) for own in first], 1)
        squares = found.scores.square().view(count, each).sum(1)
        return Neurons(rows.arranged(alpha).T, omega, squares.sqrt(), mode=found.mode)

    def first_order(self, draft: Any) -> tuple[float, float]:
        """The slope of neurons on the samples of this site, and the square of their size by its metric.

        Args:
            draft: of this site, or of the same one on other samples.
        """
        rows, moments = self.flow.rows[self.flow.writers[0]], self.moments
        alpha = rows.taken_apart(draft.alpha.T) if len(draft.alpha.T) > len(draft.omega) else draft.alpha.T.unsqueeze(0)
        omega = draft.omega.expand(len(alpha), *draft.omega.shape)
        goals = [own.N_proj if own.N_goal is None else own.N_goal for own in moments]
        if self.heads is not None:
            places = len(self.heads.values)
            alpha, moments = alpha[self.heads.values], self.moments * places
            parts = [part.view(len(part), places, -1) for part in torch.split(draft.omega, self.heads.widths, 1)]
            omega = torch.cat(parts, 2).transpose(0, 1)
            # All see what the first does.
            parts = [part.view(len(part), places, -1)[:, 0] for part in torch.split(goals[0], self.heads.widths, 1)]
            goals = [torch.cat(parts, 1)] * places
        slope = square = 0.0
        for own, goal, a, b in zip(moments, goals, alpha, omega, strict=True):
            slope += float(((a @ goal) * b).sum())
            square += float((((a @ own.S) * a).sum(1) * b.square().sum(1)).sum())
        return slope, square

    def channels(self, draft: Any) -> NewChannels:
        """Neurons as channels.

        Args:
            draft: of this site.
        """
        moments = self.moments[0]
        size = ((draft.alpha * (moments.S @ draft.alpha)).sum(0).clamp(min=0) / max(self.scale, 1e-300)).sqrt()
        found = new_channels(self.captured, self.flow, draft, size, self.parts)
        left = torch.tensor([not is_read(own) for own in self.moments])
        if self.heads is not None:
            left = ~self.heads.queries
            left[self.heads.values] = False
        elif not bool(left.any()):
            return found
        rows = self.flow.rows[self.flow.writers[0]]
        return replace(found, left=rows.arranged(left.unsqueeze(1).expand(-1, found.count)))

    def aimed(self, channels: Any, trial: Trial) -> tuple[Insertion, float]:
        """The channels, each with the sign that lowers the loss more, and their slope.

        Args:
            channels: of this site.
            trial: a copy that has grown by as many.
        """
        slopes = trial.slopes(channels, self.parts)
        if self.flow.space.kind == "plain" and len(channels.alpha.T) == channels.count:
            other = trial.slopes(channels.mirrored(-torch.ones_like(channels.alpha[0])), self.parts)
            channels = channels.mirrored(torch.where(other > slopes, -1.0, 1.0).to(channels.alpha))
            slopes = torch.maximum(slopes, other)
        return channels, float(slopes.sum())


def is_read(moments: SiteMoments) -> bool:
    """Whether an entry of a channel comes to the layer that reads; those of queries and keys do not.

    Args:
        moments: of the entry.
    """
    return bool(moments.S.any())


def _padded(neurons: Neurons, moments: SiteMoments, request: MethodRequest) -> Neurons:
    if is_read(moments):
        return padded(neurons, moments, request)
    zero = moments.S.new_zeros(len(moments.S), request.neurons)
    return Neurons(zero, moments.N_proj.new_zeros(request.neurons, moments.N_proj.shape[1]), zero[0])
