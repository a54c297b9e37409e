"""What counts as right, over one output and over several."""

import pytest
import torch

from dagrow.objectives import LOSSES
from dagrow.training import Objective

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
