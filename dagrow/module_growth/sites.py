"""Where a module can grow with computed weights: spaces with a linear path, and the sizes of queries and keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from dagrow.capture import CapturedModule, Space
from dagrow.methods import InsertionMode
from dagrow.module_growth.batches import Part
from dagrow.module_growth.flow import Flow
from dagrow.module_growth.linear_site import LinearSite
from dagrow.module_growth.moments import Collected
from dagrow.module_growth.passage import NoLinearPath
from dagrow.module_growth.score_flow import ScoreFlow
from dagrow.module_growth.score_site import ScoreSite, SharedSite
from dagrow.module_growth.shared_flow import SharedFlow, ways_of


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


Site = LinearSite | ScoreSite | SharedSite

Flows = Flow | ScoreFlow | SharedFlow


def find_flows(captured: CapturedModule, spaces: Sequence[Space]) -> tuple[dict[str, Flows], dict[str, str]]:
    """The ways of new channels of each space, and for the others why there is none.

    Args:
        captured: the module.
        spaces: of it.
    """
    flows: dict[str, Flows] = {}
    notes = {}
    for space in spaces:
        try:
            if space.label == "head_size":
                flows[space.name] = SharedFlow(Flow(captured, space), ScoreFlow(captured, space))
            else:
                flows[space.name] = ScoreFlow(captured, space) if space.label == "query_key" else Flow(captured, space)
        except NoLinearPath as error:
            notes[space.name] = str(error)
    return flows, notes


def site_of(captured: CapturedModule, flow: Flows, found: Collected, parts: Sequence[Part]) -> Site | None:
    """A space with its moments; None where it has none.

    Args:
        captured: the module.
        flow: of the space.
        found: of all spaces.
        parts: samples that slopes are measured on, and means and variances behind batch norms.
    """
    name = flow.space.name
    if name in found.reasons:
        return None
    if isinstance(flow, SharedFlow):
        values, keys = (site_of(captured, way, found, parts) for way in ways_of(flow))
        if isinstance(values, LinearSite) and isinstance(keys, ScoreSite):
            return SharedSite(flow, values, keys)
        return None
    if isinstance(flow, ScoreFlow):
        moments = found.score_moments.get(name)
        return None if moments is None else ScoreSite(captured, flow, moments)
    own = found.moments.get(name)
    return None if own is None else LinearSite(captured, flow, own, found.scales[name], parts, found.heads.get(name))
