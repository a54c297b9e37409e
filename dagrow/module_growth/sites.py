"""Where a module can grow with computed weights: spaces with a linear path, and the sizes of queries and keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from dagrow.capture import CapturedModule, Space, named_tensors
from dagrow.methods import Method, MethodRequest, Neurons, SiteMoments
from dagrow.module_growth.batches import Part
from dagrow.module_growth.entries import NewChannels
from dagrow.module_growth.flow import Flow
from dagrow.module_growth.flow_rules import NoLinearPath
from dagrow.module_growth.moments import Collected
from dagrow.module_growth.new_channels import directions, new_channels
from dagrow.module_growth.score_flow import ScoreFlow
from dagrow.module_growth.scores import ScoreChannels, ScoreMoments, draft_scores
from dagrow.module_growth.trial import Insertion, Trial


class Draft(Protocol):
    """What a method made for a space."""

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
    """

    captured: CapturedModule
    flow: Flow
    moments: tuple[SiteMoments, ...]
    scale: float
    parts: Sequence[Part]

    @property
    def bottleneck(self) -> float:
        """``E||v_proj||^2`` over the layers that read."""
        return self.moments[0].v_proj_squared

    @property
    def nothing(self) -> str:
        """Why so few channels cannot be computed, if that is so whatever the samples."""
        return "one channel alone would move the mean of its norms" if self.flow.space.kind == "layer_norm" else ""

    def directions(self, count: int) -> int:
        """How many neurons so many channels can be."""
        return directions(self.flow.space, count)

    def draft(self, method: Method, request: MethodRequest) -> Neurons:
        """The neurons; of several entries per channel, the best of each entry make up the first channel, and so on.

        Args:
            method: of growth.
            request: what is asked of it.
        """
        found = [method(own, request) for own in self.moments]
        if len(found) == 1:
            return found[0]
        most = max(neurons.count for neurons in found)
        missing = [most - neurons.count for neurons in found]
        alpha = torch.stack([F.pad(n.alpha.T, (0, 0, 0, few)) for n, few in zip(found, missing, strict=True)])
        omega = torch.stack([F.pad(n.omega, (0, 0, 0, few)) for n, few in zip(found, missing, strict=True)]).sum(0)
        squares = torch.stack([F.pad(n.scores, (0, few)) for n, few in zip(found, missing, strict=True)]).square()
        return Neurons(self.flow.rows[self.flow.writers[0]].arranged(alpha).T, omega, squares.sum(0).sqrt())

    def channels(self, draft: Any) -> NewChannels:
        """Neurons as channels.

        Args:
            draft: of this site.
        """
        moments = self.moments[0]
        size = ((draft.alpha * (moments.S @ draft.alpha)).sum(0).clamp(min=0) / max(self.scale, 1e-300)).sqrt()
        return new_channels(self.captured, self.flow, draft, size, self.parts)

    def aimed(self, channels: Any, trial: Trial) -> tuple[Insertion, float]:
        """The channels, each with the sign that lowers the loss more, and their slope.

        Args:
            channels: of this site.
            trial: a copy that has grown by as many.
        """
        slopes = trial.slopes(channels, self.parts)
        if self.flow.space.kind == "plain" and self.flow.copies == 1:
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
    nothing: str = ""

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
    return None if own is None else LinearSite(captured, flow, own, found.scales[name], parts)
