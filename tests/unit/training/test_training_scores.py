"""What counts as right, over one output and over several."""

import pytest
import torch

import dagrow
from dagrow.data import Samples
from dagrow.objectives import LOSSES
from dagrow.training import Objective
from dagrow.training.epochs import evaluate

CLASSES = torch.eye(3)[[0, 1, 2, 0]]
"""Outputs that say 0, 1, 2, 0."""


def test_a_sample_is_right_if_it_is_so_at_every_output():
    objective = Objective(LOSSES["cross_entropy"])
    first, second = torch.tensor([0, 1, 0, 1]), torch.tensor([1, 1, 2, 0])
    assert objective.right(CLASSES, first) == 2
    assert objective.right(CLASSES, second) == 3
    assert objective.right((CLASSES, CLASSES), (first, second)) == 1
    assert Objective(LOSSES["mse"]).right(CLASSES, CLASSES) is None


def test_a_map_counts_by_its_pixels():
    objective = Objective(LOSSES["cross_entropy"])
    maps, labels = CLASSES.T.reshape(1, 3, 2, 2), torch.tensor([[[0, 1], [0, 1]]])
    assert objective.right(maps, labels) == 0.5
    assert objective(maps, labels) == pytest.approx(float(objective(CLASSES, labels.flatten())))


def test_a_regression_has_r2_and_mae_in_the_units_of_its_targets():
    generator = torch.Generator().manual_seed(0)
    x, noise = (torch.randn(50, n, generator=generator) for n in (3, 2))
    sections = {"inputs": {"x": {"shape": [3]}}, "nodes": {"y": {"size": 2}}, "edges": {"x -> y": "linear"}}
    network = dagrow.build(dagrow.GraphSpec.model_validate({**sections, "outputs": ["y"]}), seed=0)
    with torch.no_grad():
        y = network(x) + 0.3 * noise
        error = network(x) - y
    samples = Samples((x,), (y,))
    one, other = (evaluate(network, Objective(LOSSES["mse"], factor), samples, 20) for factor in (1.0, 9.0))
    assert one.mae == pytest.approx(float(error.abs().mean()), rel=1e-5)
    assert one.r2 == pytest.approx(1 - float(error.square().mean() / (y - y.mean()).square().mean()), rel=1e-4)
    assert (other.loss, other.mae, other.r2) == pytest.approx((9 * one.loss, 3 * one.mae, one.r2))
    assert f"R^2 {one.r2:.4f}, MAE {one.mae:.4f}" in str(one)
