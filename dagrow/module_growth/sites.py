"""Where a module can grow with computed weights: spaces with a linear path, and the sizes of queries and keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from dagrow.capture import CapturedModule, Space, named_tensors
from dagrow.methods import (
    CONSTANT,
    EXISTING,
    ExistingNeurons,
    FunctionPreserving,
    InsertionMode,
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
from dagrow.module_growth.moments import Collected, HeadEntries
from dagrow.module_growth.new_channels import directions, new_channels
from dagrow.module_growth.passage import NoLinearPath
from dagrow.module_growth.readers import existing_rows
from dagrow.module_growth.rows import rows_of
from dagrow.module_growth.score_flow import ScoreFlow
from dagrow.module_growth.scores import ScoreChannels, ScoreMoments, draft_scores
from dagrow.module_growth.trial import Insertion, Trial

LIFT = 1e-12
"""A pre-activation above 0, and as good as 0, so that neurons with a fan-in of 0 do not stay on the kink of a relu."""


class Draft(Protocol):
    """What a method made for a space."""

    @property
    def mode(self) -> InsertionMode:
        """How it enters."""

    @property
    def alternatives(self) -> Sequence[Draft]:
        """It, and what else may be tried in its place."""

    @property
    def reason(self) -> str:
        """Why there is nothing."""

    @property
    def scores(self) -> Tensor:
        """``[K]``; their squares add up to what it promises."""

    @property
    def count(self) -> int:
        """K."""


@dataclass(frozen=True)
class LinearSite:
    """A space with linear paths from the layers that write it to those that read it.

    Attributes:
        captured: the module.
        flow: the paths.
        moments: of each entry of a channel.
        scale: what ``alpha^T S alpha`` is divided by for a mean square at one position.
        parts: the samples that neurons are made of.
        heads: of a space of heads, what the entries of a new one are.
    """

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
        found = [method(own, request) for own in moments]
        if len(found) == 1:
            return self._entering(found[0])
        most = max(neurons.count for neurons in found)
        if not most:
            return found[0]
        more = replace(request, neurons=most, pad=True)
        found = [padded(neurons, own, more) for neurons, own in zip(found, moments, strict=True)]
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
        """Of neurons that all see the mean of the inputs, as many as a head has values make up a new head."""
        places, rows = len(heads.values), self.flow.rows[self.flow.writers[0]]
        found = method(self.moments[0], replace(request, neurons=request.neurons * places))
        count = -(-found.count // places)
        if not count:
            return found
        found = padded(found, self.moments[0], replace(request, neurons=count * places, pad=True))
        alpha = found.alpha.new_zeros(rows.count, count, len(found.alpha))
        alpha[heads.values] = found.alpha.T.view(count, places, -1).transpose(0, 1)
        omega = found.omega.view(count * places, places, -1)[:, 0].reshape(count, -1)
        squares = found.scores.square().view(count, places).sum(1)
        return Neurons(rows.arranged(alpha).T, omega, squares.sqrt(), mode=found.mode)

    def channels(self, draft: Any) -> NewChannels:
        """Neurons as channels.

        Args:
            draft: of this site.
        """
        moments = self.moments[0]
        size = ((draft.alpha * (moments.S @ draft.alpha)).sum(0).clamp(min=0) / max(self.scale, 1e-300)).sqrt()
        found = new_channels(self.captured, self.flow, draft, size, self.parts)
        if self.heads is None:
            return found
        left = ~self.heads.queries
        left[self.heads.values] = False
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


@dataclass(frozen=True)
class ScoreSite:
    """The size of queries and keys.

    Attributes:
        captured: the module.
        flow: their way to where they meet.
        moments: of both.
    """

    captured: CapturedModule
    flow: ScoreFlow
    moments: ScoreMoments

    @property
    def bottleneck(self) -> float | None:
        """The square of the attention bottleneck."""
        channels = draft_scores(self.flow, self.moments, dict(named_tensors(self.captured.model)), None, 0.0)
        return float(channels.scores.square().sum())

    def directions(self, count: int) -> int:
        """As many."""
        return count

    def draft(self, method: Method, request: MethodRequest) -> ScoreChannels:
        """The dimensions of TINY.

        Args:
            method: of growth; there is no other for queries and keys.
            request: what is asked of it.
        """
        tensors = dict(named_tensors(self.captured.model))
        return draft_scores(self.flow, self.moments, tensors, request.neurons, request.shrinkage)

    def channels(self, draft: Any) -> ScoreChannels:
        """Those that were drafted.

        Args:
            draft: of this site.
        """
        found: ScoreChannels = draft
        return found

    def aimed(self, channels: Any, trial: Trial) -> tuple[Insertion, float]:
        """They go down by themselves: scores are linear in them.

        Args:
            channels: of this site.
            trial: a copy that has grown by as many.
        """
        return channels, channels.slope


Site = LinearSite | ScoreSite


def find_flows(captured: CapturedModule, spaces: Sequence[Space]) -> tuple[dict[str, Flow | ScoreFlow], dict[str, str]]:
    """The ways of new channels of each space, and for the others why there is none.

    Args:
        captured: the module.
        spaces: of it.
    """
    flows: dict[str, Flow | ScoreFlow] = {}
    notes = {}
    for space in spaces:
        try:
            flows[space.name] = ScoreFlow(captured, space) if space.label == "query_key" else Flow(captured, space)
        except NoLinearPath as error:
            notes[space.name] = str(error)
    return flows, notes


def site_of(captured: CapturedModule, flow: Flow | ScoreFlow, found: Collected, parts: Sequence[Part]) -> Site | None:
    """A space with its moments; None where it has none.

    Args:
        captured: the module.
        flow: of the space.
        found: of all spaces.
        parts: the samples that they were found on.
    """
    name = flow.space.name
    if isinstance(flow, ScoreFlow):
        moments = found.score_moments.get(name)
        return None if moments is None else ScoreSite(captured, flow, moments)
    own = found.moments.get(name)
    return None if own is None else LinearSite(captured, flow, own, found.scales[name], parts, found.heads.get(name))
