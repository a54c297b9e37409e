"""Sizes of queries and keys, alone or with that of values, with their moments."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import Tensor, nn

from dagrow.capture import CapturedModule, named_tensors
from dagrow.methods import InsertionMode, Method, MethodRequest, Neurons, SearchedAmplitude
from dagrow.module_growth.linear_site import LinearSite
from dagrow.module_growth.score_flow import ScoreFlow
from dagrow.module_growth.scores import ScoreChannels, ScoreMoments, draft_scores, first_order_of_scores
from dagrow.module_growth.shared_flow import SharedFlow
from dagrow.module_growth.trial import Insertion, Trial
from dagrow.resize import Widened


@dataclass(frozen=True)
class ScoreSite:
    """The size of queries and keys.

    Attributes:
        captured: the module.
        flow: their way to where they meet.
        moments: of both.
    """

    methods: ClassVar[tuple[str, ...]] = ("tiny",)

    captured: CapturedModule
    flow: ScoreFlow
    moments: ScoreMoments

    @property
    def bottleneck(self) -> float:
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
        return draft_scores(self.flow, self.moments, tensors, request.neurons, request.shrinkage, request.pad)

    def first_order(self, draft: Any) -> tuple[float, float]:
        """The slope of dimensions on the samples of this site, and the square of their size by its metrics.

        Args:
            draft: of this site, or of the same one on other samples.
        """
        return first_order_of_scores(self.moments, draft)

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


@dataclass(frozen=True)
class SharedDraft:
    """New dimensions of queries, keys and values.

    Attributes:
        values: as neurons.
        keys: of queries and keys, as many.
    """

    values: Neurons
    keys: ScoreChannels
    mode: ClassVar[InsertionMode] = SearchedAmplitude()
    reason: ClassVar[str] = "what is there can do all that is wanted"

    @property
    def scores(self) -> Tensor:
        """``[K]``, of both together."""
        return (self.values.scores.square() + self.keys.scores.square()).sqrt()

    @property
    def count(self) -> int:
        """K; 0 if nothing is promised."""
        return self.values.count if bool(self.scores.any()) else 0

    @property
    def alternatives(self) -> tuple[SharedDraft, ...]:
        """These alone."""
        return (self,)


@dataclass(frozen=True)
class SharedChannels:
    """The same, with weights.

    Attributes:
        values: new dimensions of values.
        keys: of queries and keys.
    """

    values: Any
    keys: ScoreChannels

    @property
    def count(self) -> int:
        """K."""
        return self.keys.count

    @property
    def silent(self) -> SharedChannels:
        """With keys of 0, and values that are not read."""
        return SharedChannels(self.values.silent, self.keys.silent)

    def scaled(self, fan_in: float, fan_out: float) -> SharedChannels:
        """Both with both sides multiplied."""
        return SharedChannels(self.values.scaled(fan_in, fan_out), self.keys.scaled(fan_in, fan_out))

    def at(self, amplitude: float) -> SharedChannels:
        """Both at an amplitude."""
        return SharedChannels(self.values.at(amplitude), self.keys.at(amplitude))

    def put(self, model: nn.Module, widened: Widened) -> None:
        """Gives the new entries of a widened module their values: first those of queries and keys.

        Args:
            model: that was widened.
            widened: by what.
        """
        self.keys.put(model, widened)
        self.values.put(model, widened)


@dataclass(frozen=True)
class SharedSite:
    """A size that queries, keys and values share.

    Attributes:
        flow: both ways.
        values: the site of values.
        keys: that of queries and keys.
    """

    methods: ClassVar[tuple[str, ...]] = ScoreSite.methods

    flow: SharedFlow
    values: LinearSite
    keys: ScoreSite

    @property
    def bottleneck(self) -> float:
        """Of both together."""
        return self.values.bottleneck + self.keys.bottleneck

    def directions(self, count: int) -> int:
        """As many."""
        return count

    def draft(self, method: Method, request: MethodRequest) -> SharedDraft:
        """The dimensions of TINY, of values and of scores.

        Args:
            method: of growth; there is no other for queries and keys.
            request: what is asked of it.
        """
        request = replace(request, pad=True)
        return SharedDraft(self.values.draft(method, request), self.keys.draft(method, request))

    def first_order(self, draft: Any) -> tuple[float, float]:
        """The sums of both.

        Args:
            draft: of this site, or of the same one on other samples.
        """
        values, keys = self.values.first_order(draft.values), self.keys.first_order(draft.keys)
        return values[0] + keys[0], values[1] + keys[1]

    def channels(self, draft: Any) -> SharedChannels:
        """Those that were drafted.

        Args:
            draft: of this site.
        """
        return SharedChannels(self.values.channels(draft.values), draft.keys)

    def aimed(self, channels: Any, trial: Trial) -> tuple[Insertion, float]:
        """The channels, and their slope.

        Args:
            channels: of this site.
            trial: a copy that has grown by as many.
        """
        trial.put(channels.keys.silent)
        values, slope = self.values.aimed(channels.values, trial)
        return SharedChannels(values, channels.keys), slope + channels.keys.slope
