"""What a look at a module costs, in forward-and-backward passes of the samples looked at."""

import pytest
import torch
from capture_zoo import captured
from torch.nn.functional import cross_entropy

import dagrow
from dagrow.capture import batch_size
from dagrow.capture.module import CapturedModule
from dagrow.capture.program import Program

SAMPLES = 40


@pytest.fixture
def passes(monkeypatch):
    """Counts samples, by whether gradients are kept: a forward pass is a third of one there and back."""
    counted = []

    def counts(function):
        def called(self, inputs, *args, **kwargs):
            counted.append(batch_size(inputs) * (1 if torch.is_grad_enabled() else 1 / 3) / SAMPLES)
            return function(self, inputs, *args, **kwargs)

        return called

    monkeypatch.setattr(CapturedModule, "__call__", counts(CapturedModule.__call__))
    monkeypatch.setattr(Program, "run", counts(Program.run))
    return counted


def data():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(SAMPLES, 3, 8, 8, generator=generator).double()
    return [(x, torch.randint(0, 5, (SAMPLES,), generator=generator))]


def test_a_look_at_all_spaces_takes_three_passes_at_most(passes):
    net = captured("resnet")
    plan = dagrow.spot(net, cross_entropy, data())
    assert 1 <= sum(passes) <= 3
    assert [candidate.space for candidate in plan.candidates] != []
    assert {candidate.space for candidate in plan.candidates} == {space.name for space in net.growable}
    assert all(candidate.bottleneck > 0 for candidate in plan.candidates)
    assert plan.best is None


def test_a_proposal_over_all_spaces_takes_six_passes_at_most(passes):
    plan = dagrow.propose(captured("resnet"), cross_entropy, data(), neurons=2)
    assert sum(passes) <= 6
    assert plan.best is not None
    assert sum(candidate.slope is not None for candidate in plan.candidates) == 3
