"""Controls: what a comparison runs beside what was asked for, so that its answer means something.

A new one is a function or a line here.
"""

from __future__ import annotations

from collections.abc import Callable

from dagrow.compare.outcome import Outcome
from dagrow.graph import Dag, training_macs
from dagrow.registry import Registry
from dagrow.spec import BudgetSpec, GraphSpec, GrowthSpec, RunSpec
from dagrow.training.sample_sizes import training_batch

GROWN: Registry[tuple[str, ...]] = Registry(
    "control that grows",
    {
        "random placement": ("growth.trial_training=null", "growth.where=random"),
        "smallest-gain placement": ("growth.trial_training=null", "growth.where=smallest_gain"),
        "random weights, same norm": ("growth.random_weights=true",),
    },
)
"""Changes of a variant: it grows elsewhere, or what it inserts points elsewhere."""

Epochs = Callable[[Outcome, GraphSpec], int]
"""From how a run ended, and its last graph, to passes over the training set."""


def equal_epochs(grown: Outcome, graph: GraphSpec) -> int:
    """As many as the grown network had, whatever its size was at the time."""
    return grown.epochs


def equal_multiply_adds(grown: Outcome, graph: GraphSpec) -> int:
    """As many as cost what training and growth cost together, to the nearest whole one."""
    each = training_macs(Dag.of(graph)) * grown.training_samples
    return max(1, round(grown.work / each))


FROM_SCRATCH: Registry[Epochs] = Registry(
    "control that is trained from scratch",
    {
        "from scratch, equal epochs": equal_epochs,
        "from scratch, equal multiply-adds": equal_multiply_adds,
    },
)
"""The last graph of each variant, trained from first weights without growing."""


def controls() -> tuple[str, ...]:
    """The names of all there are."""
    return (*GROWN, *FROM_SCRATCH)


def from_scratch(base: RunSpec, grown: Outcome, graph: GraphSpec, epochs: Epochs) -> RunSpec:
    """A run of the base's data and training with a graph that does not grow, in the batches that growth ended with."""
    batch = training_batch(base, Dag.of(graph))
    training = base.training.model_copy(
        update={"final_epochs": epochs(grown, graph), "batch_size": batch, "scale_batch_size": False}
    )
    still = GrowthSpec(budget=BudgetSpec(steps=0))
    return base.model_copy(update={"graph": graph, "training": training, "growth": still})
