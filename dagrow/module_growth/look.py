"""One space, measured in a copy of the module: the shrinkage by held-out moments, the amplitude by held-out losses.

A pass over all samples is dear, and there are many spaces: moments of the held-out samples, which cost one look for all
of them, say which shrinkage promises most there; only its neurons are searched for their amplitude.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch

from dagrow.capture import CapturedModule
from dagrow.methods import FunctionPreserving
from dagrow.module_growth.batches import Losses, Split
from dagrow.module_growth.candidate import SpaceCandidate
from dagrow.module_growth.sites import Draft, Site
from dagrow.module_growth.trial import Insertion, Trial
from dagrow.module_growth.two_looks import LossFunction

KEPT = 1e4
"""By how many roundings the loss may move when channels enter that are to change nothing."""

AT_LIMIT = 0.999
"""Share of the largest amplitude from which on it is taken for the limit of a search."""


class Look:
    """One space, measured in a copy of the module.

    Args:
        captured: the module.
        site: the space, on the samples that are fitted to.
        judge: likewise, on those that choose.
        loss: ``(output, target) -> scalar``.
        parts: the samples.
        start: losses of the module as it is.
    """

    def __init__(
        self, captured: CapturedModule, site: Site, judge: Site, loss: LossFunction, parts: Split, start: Losses
    ) -> None:
        self.captured, self.site, self.judge, self.loss = captured, site, judge, loss
        self.parts, self.start, self.space = parts, start, site.flow.space
        self._trials: dict[int, Trial] = {}

    def _trial(self, count: int) -> Trial:
        """A copy that has grown by so many channels; made once."""
        if count not in self._trials:
            self._trials[count] = Trial(self.captured, self.space, count, self.loss)
        return self._trials[count]

    def best(self, drafts: Mapping[float, Draft]) -> SpaceCandidate:
        """The candidate of the shrinkage that promises most on the held-out samples.

        Where the size of its weights ends the search, a larger shrinkage, whose weights are smaller, is tried as well.

        Args:
            drafts: by shrinkage.
        """
        some = {rho: draft for rho, draft in drafts.items() if draft.count}
        chosen = max(some, key=lambda rho: self._promise(some[rho]))
        tried = self._measured(some[chosen], chosen)
        larger = [rho for rho in some if rho > chosen]
        if larger and any(limited for _, limited in tried):
            tried += self._measured(some[min(larger)], min(larger))
        best = max((c for c, _ in tried), key=lambda candidate: (not candidate.rejected, candidate.held_out_gain))
        return replace(best, bottleneck=self.site.bottleneck)

    def _promise(self, draft: Draft) -> float:
        """Slope on the held-out samples per unit of size."""
        slope, square = self.judge.first_order(draft)
        return slope / math.sqrt(max(square, 1e-300))

    def _measured(self, draft: Draft, shrinkage: float) -> list[tuple[SpaceCandidate, bool]]:
        """The candidates of a draft, and of each whether its amplitude is the largest allowed."""
        return [self._searched(each, shrinkage) for each in draft.alternatives]

    def _searched(self, draft: Draft, shrinkage: float) -> tuple[SpaceCandidate, bool]:
        channels = self.site.channels(draft)
        trial = self._trial(channels.count)
        if not draft.mode.searched:
            return self._as_made(draft, channels, trial, shrinkage), False
        aimed, slope = self.site.aimed(channels, trial)
        search = trial.search(aimed, slope, self.parts.held_out, self.start.held_out)
        scores = tuple(draft.scores.tolist())
        limited = search.relative >= AT_LIMIT * search.largest
        if not search.amplitude:
            return SpaceCandidate(
                self.space.name, channels.count, slope=slope, scores=scores, shrinkage=shrinkage,
                parameters=trial.added, rejected="no amplitude lowers the loss",
            ), limited  # fmt: skip
        trial.put(aimed.at(search.amplitude))
        gain = self._gain(trial, search.lowest_loss)
        return SpaceCandidate(
            self.space.name, channels.count, gain, self.start.held_out - search.lowest_loss, slope, search.amplitude,
            scores=scores, shrinkage=shrinkage, parameters=trial.added, weights=aimed,
            rejected="" if gain > 0 else "it gains on the samples held out alone, and loses on all",
        ), limited  # fmt: skip

    def _gain(self, trial: Trial, held_out: float) -> float:
        """The drop of the loss over all samples, of which that of the held-out ones is known."""
        same = self.parts.held_out is self.parts.fit
        fit = held_out if same else trial.mean_loss(self.parts.fit)
        return self.start.everywhere(self.start.fit, self.start.held_out) - self.start.everywhere(fit, held_out)

    def _as_made(self, draft: Draft, channels: Insertion, trial: Trial, shrinkage: float) -> SpaceCandidate:
        """Channels that enter as they are."""
        trial.put(channels)
        held_out = trial.mean_loss(self.parts.held_out)
        gain = self._gain(trial, held_out)
        rounding = KEPT * torch.finfo(next(self.captured.model.parameters()).dtype).eps * abs(self.start.fit)
        silent = isinstance(draft.mode, FunctionPreserving)
        return SpaceCandidate(
            self.space.name, channels.count, 0.0 if silent else gain, 0.0 if silent else self.start.held_out - held_out,
            amplitude=1.0, scores=tuple(draft.scores.tolist()), shrinkage=shrinkage,
            parameters=trial.added, weights=channels,
            rejected="its activations are not 0 at 0" if silent and abs(gain) > rounding else "",
        )  # fmt: skip
