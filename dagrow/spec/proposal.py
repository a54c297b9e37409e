"""The options of a proposal: those that a run file has too, with the same defaults, and those of a single call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError, model_validator

from dagrow.errors import GrowthError, Problem, SpecError, did_you_mean, listed
from dagrow.spec.growth import GrowthSpec
from dagrow.spec.problems import problems_of
from dagrow.spec.proposal_settings import ProposalSettings
from dagrow.spec.renamed import renamed_options

_NUMBER = "{field} is a number from 0, not {value}"
_SENTENCES = {
    "neurons": "neurons must be at least 1, not {value}",
    "shrinkage": "shrinkage is 'auto' or a number from 0, not {value!r}",
    "held_out": "held_out is a share of the samples, from 0 to less than 1, not {value}",
    "max_solved": "max_solved is a whole number from 1, not {value}",
    "max_searched": "max_searched is a whole number from 1, not {value}",
    "max_width": "max_width is a whole number from 1, not {value}",
    "fan_out": "fan_out is 'full' or 'pointwise', not '{value}'",
    **dict.fromkeys(("prune_tolerance", "significance", "copy_noise", "min_gain_per_parameter"), _NUMBER),
}
"""What is allowed, for callers in Python, by field."""


class ProposalOptions(ProposalSettings):
    """All that a proposal is asked for.

    Attributes:
        method: how new neurons are made, see `METHODS`.
        fallback_method: what makes them where ``tiny`` finds none, or none that gain, see `FALLBACK_METHODS`.
        copy_noise: on the fan-in of copied neurons (``net2net``), relative to their own.
        candidates: kinds of change, see `KINDS`: ``widen`` a node; a new ``edge``, ``node`` or ``layer``;
            ``update`` existing weights; ``remove`` an edge or node.
        where: which candidate is best, see `WHERE`.
        nodes: the only places to consider: nodes that would grow, or into which something new would lead.
        neurons: new features per place, at most.
        shrinkage: ridge on the metric, relative to its mean diagonal; 0 is the papers' method, ``auto`` lets
            held-out samples choose.
        fan_out: of new convolution channels: the full kernel, or its centre.
        held_out: share of the samples kept from the statistics, which chooses shrinkage and amplitude; left out, it is
            0 beside a number as ``shrinkage``, which leaves nothing to choose.
        significance: singular values must exceed this multiple of their noise level, and a held-out gain this
            multiple of its standard error; 0 keeps all.
        noise_level: what the noise level is, see `NOISE_LEVELS`.
        keep_below_noise: where the best singular value does, all neurons that were asked for are made.
        min_gain_per_parameter: in units of the loss: what gains less than its parameters times this is rejected.
        new_node: activation, norm and kernel of new nodes, see `NewNodeSpec`; of a list, each is tried.
        max_solved: how many places are solved where pairs of nodes are among them; else, how many of a kind have a
            first look, those of the greatest slope.
        max_searched: how many candidates are searched to the end, after that look.
        max_width: features that no node is widened beyond.
        with_update: whether new neurons bring along the best updates of all their children: at ``one_amplitude`` with
            them, or at ``two_amplitudes`` that are searched together (True is this); ``none`` leaves them.
        normalisation: what amplitude 1 of new neurons is, see `NORMALISATIONS`.
        amplitude: which amplitudes are tried, see `AmplitudeSpec`.
        update_amplitude: likewise of updates, in multiples of the best update.
        prune_tolerance: what a removal may add to the loss.
        max_parameters: the network may have no more afterwards.
        max_macs: likewise, for one sample.
        turn: where the ``round_robin`` strategy starts.
        seed: for methods that draw.
        pad: where a method finds fewer neurons than were asked for, others with random fan-ins and a fan-out of 0
            complete them; where it finds none, these are the candidate.
    """

    prune_tolerance: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    max_parameters: int | None = None
    max_macs: int | None = None
    turn: int = 0
    seed: int = 0
    pad: bool = False

    @model_validator(mode="before")
    @classmethod
    def _nothing_held_out_for_nothing(cls, value: Any) -> Any:
        fixed = isinstance(value, dict) and value.get("shrinkage", "auto") != "auto"
        return {"held_out": 0.0, **value} if fixed else value

    @classmethod
    def of(cls, given: Mapping[str, Any], base: ProposalOptions | None = None) -> ProposalOptions:
        """Options from the arguments of a call in Python.

        Args:
            given: by field; None stands for the default, and one text for a list of it.
            base: what holds where nothing is given.

        Raises:
            GrowthError: if there is no such option, or a value is not allowed.
            SpecError: if an entry of ``new_node`` is not.
        """
        if base is not None and not isinstance(base, ProposalOptions):
            raise GrowthError(f"options are given as ProposalOptions, not {type(base).__name__}")
        fields = {
            **({} if base is None else dict(base)),
            **{name: _plain(name, value) for name, value in renamed_options(given).items()},
        }
        fields = {name: value for name, value in fields.items() if value is not None}
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise _refused(problems_of(error, cls, fields, lambda path: None), fields) from error

    @classmethod
    def of_run(cls, growth: GrowthSpec, **own: Any) -> ProposalOptions:
        """What a run file says, but for what one growth step says itself."""
        said = {name: getattr(growth, name) for name in ProposalSettings.model_fields}
        limits = {"max_parameters": growth.budget.parameters, "max_macs": growth.budget.macs}
        return cls.model_validate({**said, **limits, **own})


def _plain(name: str, value: Any) -> Any:
    """A number of numpy or torch as Python's, and one name as a list of it."""
    if isinstance(value, str) and name in ("candidates", "nodes"):
        return (value,)
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value


def _refused(problems: list[Problem], fields: Mapping[str, Any]) -> GrowthError | SpecError:
    """The first problem, in a sentence; of new nodes, all of them with their paths."""
    first = problems[0]
    field = first.path[0]
    if field == "new_node":
        return SpecError([problem for problem in problems if problem.path[0] == field])
    if field not in ProposalOptions.model_fields:
        known = tuple(ProposalOptions.model_fields)
        return GrowthError(
            f"unknown option '{field}' of a proposal{did_you_mean(field, known)}; allowed: {listed(known)}"
        )
    if "at most" not in first.message and field in _SENTENCES:
        return GrowthError(_SENTENCES[field].format(field=field, value=fields[field]))
    return GrowthError(first.message if first.message.startswith("unknown ") else first.render())
