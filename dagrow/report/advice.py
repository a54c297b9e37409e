"""What experience says about the settings of a run; the evidence is in docs/explanation/generalisation.md.

A new piece of advice is a line of `ADVICE`. Nobody is advised against a default: what would replace another value than
the default is told only where the file sets that entry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from dagrow.spec import RunSpec


class Advice(NamedTuple):
    """One sentence, and when it is of use.

    Attributes:
        fits: whether a run is in the situation, with settings that fit it badly or might fit it better.
        says: what to try, and why.
        replaces: the entry of the growth section whose value it finds fault with; empty where it only adds something.
    """

    fits: Callable[[RunSpec], bool]
    says: str
    replaces: str = ""


def _trains(run: RunSpec) -> bool:
    """Whether gradient descent follows insertions."""
    return run.training.epochs_between_growth > 0 or run.training.final_epochs > 0


def _steady(run: RunSpec) -> bool:
    """Whether the last weights are those of a learning rate that never falls."""
    training = run.training
    timed = run.growth.schedule != "adaptive"
    return timed and training.scheduler is None and training.anneal is None and training.ema_decay is None


def _normed(run: RunSpec) -> bool:
    """Whether the fan-in of new features is behind a batch norm."""
    return any(node.norm == "batch" for node in run.graph.nodes.values())


ADVICE: tuple[Advice, ...] = (
    Advice(
        lambda run: not _trains(run) and run.growth.keep_below_noise,
        "nothing is trained: with 'growth.keep_below_noise: false' no neurons come that are noise and only cost",
        "keep_below_noise",
    ),
    Advice(
        lambda run: _trains(run) and not run.growth.keep_below_noise and run.growth.significance > 0,
        "training follows: with 'growth.keep_below_noise: true' neurons that are in the noise come too, and learn",
        "keep_below_noise",
    ),
    Advice(
        lambda run: _trains(run) and run.training.final_epochs > 0 and _steady(run),
        "the learning rate never falls: on large sets 'training.ema_decay: 0.999' or a scheduler lowers the test loss",
    ),
    Advice(
        lambda run: (
            _trains(run)
            and run.growth.candidates == ("widen",)
            and run.growth.method == "tiny"
            and run.growth.fallback_method == "nonlinear"
        ),
        "nodes only widen: 'growth.fallback_method: none' is as good mostly, at a tenth of the work of growth and less",
        "fallback_method",
    ),
    Advice(
        lambda run: _trains(run) and _normed(run),
        "there is a batch norm: compare with 'method: random', which did as well unless layers were thin",
        "method",
    ),
    Advice(
        lambda run: run.growth.method == "firefly" and run.growth.insertions_per_step == 1,
        "firefly chooses over the whole network: 'growth.insertions_per_step: 4' with fewer neurons lets places share",
    ),
)
"""In the order in which they are told."""


def advice(run: RunSpec) -> list[str]:
    """What may be worth a change; empty where nothing grows.

    Args:
        run: as it would be run.
    """
    if run.growth.budget.steps == 0:
        return []
    given = run.growth.model_fields_set
    return [each.says for each in ADVICE if (not each.replaces or each.replaces in given) and each.fits(run)]
