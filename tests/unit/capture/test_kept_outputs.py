"""How close outputs must be before and after growth, by their format and by what the module itself rounds."""

import copy

import pytest
import torch
from torch import nn

from dagrow.resize import outputs_of
from dagrow.resize.kept import keeps

MODES = (False, True)


def linear():
    torch.manual_seed(0)
    return nn.Linear(3, 2), [torch.randn(5, 3)]


@pytest.mark.parametrize(("share", "kept"), [(0.5e-5, True), (5e-5, False)])
def test_outputs_in_float32_agree_to_a_hundred_thousandth(share, kept):
    model, examples = linear()
    moved = [[x + share * x.abs().max() for x in one] for one in outputs_of(model, examples)]
    assert keeps(model, examples, MODES, moved) == kept


class Cancelling(nn.Module):
    """What it adds and takes off again leaves rounding of about 1e-2 in float32."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x):
        large = 1e5 * x.sum(1, keepdim=True).exp()
        return self.layer(x) + large - (large.sqrt() * large.sqrt())


@pytest.mark.parametrize(("times", "kept"), [(2.0, True), (20.0, False)])
def test_what_a_module_rounds_is_allowed_and_not_much_more(times, kept):
    torch.manual_seed(0)
    model, examples = Cancelling(), [torch.rand(5, 3)]
    found = outputs_of(model, examples)
    exact = outputs_of(copy.deepcopy(model).double(), [x.double() for x in examples])
    pairs = [(a, b) for one, other in zip(found, exact, strict=True) for a, b in zip(one, other, strict=True)]
    rounding = max(float((a.double() - b).abs().max()) for a, b in pairs)
    assert rounding > 1e-4 * max(float(a.abs().max()) for a, _ in pairs)
    moved = [[x + times * rounding for x in one] for one in found]
    assert keeps(model, examples, MODES, moved) == kept


def test_a_module_that_takes_one_format_alone_is_held_to_it():
    class Picky(nn.Module):
        def forward(self, x):
            return x.view(torch.int32).view(torch.float32) * 2

    x = [torch.randn(4)]
    found = outputs_of(Picky(), x)
    assert keeps(Picky(), x, MODES, found)
    assert not keeps(Picky(), x, MODES, [[y * 1.001 for y in one] for one in found])
