"""Class weights: what each sample counts in the loss."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from dagrow.data import Samples, TrainTestSplit
from dagrow.errors import DataError
from dagrow.objectives import LOSSES
from dagrow.spec import RunSpec
from dagrow.training.class_weights import class_weights
from dagrow.training.epochs import Objective

LABELS = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 2])


def run(told, loss="cross_entropy", outputs=4):
    graph = {
        "inputs": {"x": {"shape": [2]}}, "nodes": {"y": {"size": outputs}}, "edges": {"x -> y": "linear"},
        "outputs": "y",
    }  # fmt: skip
    return RunSpec.model_validate({"graph": graph, "training": {"loss": loss, "class_weights": told}})


def split(target, classes=()):
    samples = Samples((torch.zeros(len(target), 2),), (target,))
    found = TrainTestSplit(samples, samples)
    return replace(found, preprocessing=SimpleNamespace(answers=(), classes=classes)) if classes else found


def test_balanced_classes_count_alike():
    (weights,) = class_weights(run("balanced"), split(LABELS))
    sums = torch.stack([weights[LABELS[k == LABELS]].sum() for k in range(3)])
    torch.testing.assert_close(sums, torch.full((3,), 3.0))
    assert len(weights) == 4  # the output has a class that no sample has


def test_the_loss_is_the_mean_of_weighted_losses():
    output = torch.randn(9, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weights = class_weights(run({"b": 5.0}), split(LABELS, ("a", "b", "c", "d")))
    objective = Objective(LOSSES["cross_entropy"], 1.0, weights)
    each = [-float(output[i].log_softmax(0)[k]) * float(weights[0][k]) for i, k in enumerate(LABELS.tolist())]
    assert float(objective(output, LABELS)) == pytest.approx(sum(each) / 9, rel=1e-6)
    # Means of batches add up, whatever classes are in them.
    parts = 4 * objective(output[:4], LABELS[:4]) + 5 * objective(output[4:], LABELS[4:])
    assert float(parts / 9) == pytest.approx(sum(each) / 9, rel=1e-6)
    assert float(weights[0][LABELS].mean()) == pytest.approx(1, rel=1e-6)
    assert float(weights[0][1] / weights[0][0]) == pytest.approx(5, rel=1e-6)


def test_yes_and_no():
    target = torch.tensor([0.0, 0, 0, 1])[:, None]
    output = torch.tensor([0.3, -1.0, 2.0, 0.7], dtype=torch.float64)[:, None]
    weights = class_weights(run("balanced", "binary_cross_entropy", 1), split(target))
    losses = torch.nn.functional.binary_cross_entropy_with_logits(output, target.double(), reduction="none")
    expected = (losses[:3].sum() * 4 / 6 + losses[3].sum() * 2) / 4
    objective = Objective(LOSSES["binary_cross_entropy"], 1.0, weights)
    torch.testing.assert_close(objective(output, target.double()), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("told", "loss", "outputs", "target", "message"),
    [
        ("balanced", "mse", 1, torch.ones(3, 1), "goes with a loss of classes, not with mse"),
        ({"aa": 2.0}, "cross_entropy", 4, LABELS, r"no class 'aa' \(did you mean 'a'\?\); there are a, b"),
        ("balanced", "binary_cross_entropy", 1, torch.full((3, 1), 0.5), "these targets have fractions"),
    ],
)
def test_what_has_no_classes_is_refused(told, loss, outputs, target, message):
    with pytest.raises(DataError, match=message):
        class_weights(run(told, loss, outputs), split(target, ("a", "b")))
