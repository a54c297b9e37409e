"""How a change is scaled is one of a few objects, which says what is written and what must be gained."""

import math
import warnings

import pytest
import torch

from dagrow.methods import (
    FixedScale,
    FunctionPreserving,
    Neurons,
    SearchedAmplitude,
    SearchedFanOut,
    SmallFanOut,
    SplitNeurons,
    ZeroFanIn,
    ZeroFanOut,
)
from dagrow.methods.modes import MODES
from dagrow.planner.scaling import AtBound, BothSides, FanOut, Gains, Preserved, PreservedFanIn, Removed

CHANCE = "its held-out gain may be chance"


@pytest.mark.parametrize(
    ("scaling", "gains", "parameters", "objection"),
    [
        (BothSides(), Gains(1.0), 5, ""),
        (BothSides(), Gains(0.0), 5, "gains only on a part of the samples"),
        (FanOut(), Gains(-1.0, 1.0), 5, "gains only on held-out samples"),
        (FanOut(), Gains(1.0, math.nan), 5, "the loss of held-out samples would be no number"),
        (BothSides(), Gains(1.0, 0.5, needed=0.6), 5, CHANCE),
        (BothSides(), Gains(1.0, 0.5, needed=0.6), 0, ""),
        (AtBound(), Gains(-0.25, 1.0), 5, "the loss would rise by 0.25"),
        (AtBound(), Gains(1.0, 0.5, needed=0.6), 5, CHANCE),
        (Preserved(), Gains(-0.25, -1.0, needed=0.6), 5, ""),
        (Preserved(), Gains(math.nan), 5, "the loss would rise by nan"),
        (PreservedFanIn(), Gains(-0.25), 5, ""),
        (Removed(0.3), Gains(-0.25), 0, ""),
        (Removed(0.3), Gains(0.25, -0.5), 0, "the loss would rise by 0.5"),
    ],
)
def test_what_must_be_gained(scaling, gains, parameters, objection):
    assert scaling.objection(gains, parameters) == objection


@pytest.mark.parametrize(
    ("scaling", "factors", "behind_a_norm"),
    [
        (BothSides(), (2.0, 2.0), (1.0, 4.0)),
        (FanOut(), (1.0, 4.0), (1.0, 4.0)),
        (AtBound(), (1.0, 4.0), (1.0, 4.0)),
        (Preserved(), (1.0, 1.0), (1.0, 1.0)),
    ],
)
def test_what_the_amplitude_multiplies(scaling, factors, behind_a_norm):
    assert (scaling.factors(4.0, False), scaling.factors(4.0, True)) == (factors, behind_a_norm)


def test_trusted_pre_activations_are_of_about_1():
    scaling = BothSides(spread=4.0)
    assert [scaling.trusted(factor) * 4.0 for factor in (1e-3, 0.25, 10.0)] == [0.5, 1.0, 2.0]
    assert BothSides().trusted(10.0) == FanOut().trusted(10.0) == 10.0


def test_what_can_be_left_at_0():
    assert not Preserved().may_be_silenced
    assert all(each.may_be_silenced for each in (BothSides(), FanOut(), AtBound(), PreservedFanIn()))


ALPHA, PARENTS = torch.ones(3, 2), torch.tensor([0, 1])
OLD = [
    ({"still": True}, ZeroFanOut()),
    ({"still": True, "towards": ALPHA}, ZeroFanIn(ALPHA)),
    ({"still": True, "splits": PARENTS}, SplitNeurons(PARENTS)),
    ({"still": True, "fan_in_fixed": True}, SmallFanOut()),
    ({"fan_in_fixed": True, "bounded": True, "splits": PARENTS}, FixedScale(PARENTS)),
    ({"bounded": True}, FixedScale()),
    ({"fan_in_fixed": True, "updates": (ALPHA,)}, SearchedFanOut((ALPHA,))),
    ({"two_sided": True}, SearchedAmplitude(allow_negative=True)),
]


@pytest.mark.parametrize(("flags", "mode"), OLD, ids=lambda part: "-".join(part) if isinstance(part, dict) else "")
def test_old_keyword_arguments_are_still_read(flags, mode):
    with pytest.warns(UserWarning, match="renamed to mode="):
        found = Neurons(ALPHA, torch.ones(2, 1), torch.ones(2), **flags).mode
    assert type(found) is type(mode)
    assert vars(found).keys() == vars(mode).keys()
    assert all(vars(found)[name] is value or vars(found)[name] == value for name, value in vars(mode).items())


def test_a_fan_in_of_0_is_told_from_one_that_is_not():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert isinstance(Neurons(0 * ALPHA, ALPHA, ALPHA, still=True).mode, ZeroFanIn)
    with pytest.raises(TypeError, match="unexpected keyword argument 'loud'"):
        Neurons(ALPHA, ALPHA, ALPHA, loud=True)


def test_only_what_can_be_searched_is_searched():
    assert {name for name, mode in MODES.items() if mode.searched} == {"SearchedAmplitude", "SearchedFanOut"}
    assert {name for name, mode in MODES.items() if issubclass(mode, FunctionPreserving)} == {
        "ZeroFanOut", "ZeroFanIn", "SmallFanOut", "SplitNeurons",
    }  # fmt: skip
    both = Neurons(ALPHA, torch.ones(2, 1), torch.ones(2), mode=SearchedAmplitude(allow_negative=True))
    assert [float(each.omega[0]) for each in both.alternatives] == [1.0, -1.0]
