"""What knowing nothing but the targets is worth: whether a network has learned anything from its inputs yet."""

from __future__ import annotations

from dagrow.data import Samples
from dagrow.graph import Dag
from dagrow.training.epochs import Objective

LEARNED = 0.97
"""Of the loss of the best constant answer: a network above that has learned next to nothing from its inputs."""


def constant_loss(objective: Objective, dag: Dag, train: Samples, judged: Samples) -> float | None:
    """The loss of the answer that is best for all samples alike, found on some samples and judged by others.

    Args:
        objective: the loss of a run.
        dag: whose outputs the targets are.
        train: samples to find it on.
        judged: samples to judge it by.

    Returns:
        The loss; None where the loss does not say which answer that is.
    """
    constant = objective.loss.constant
    if constant is None:
        return None
    total = 0.0
    for name, seen, target in zip(dag.spec.outputs, train.targets, judged.targets, strict=True):
        answer = constant(seen, dag.output(name))
        wanted = target.double() if target.is_floating_point() else target
        total += float(objective.loss.mean(answer.expand(len(target), *answer.shape), wanted))
    return objective.factor * total
