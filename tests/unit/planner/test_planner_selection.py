"""Which candidate is the best: strategies, ties, rejected ones; and the table that a person reads."""

import itertools
from dataclasses import replace

import pytest

from dagrow.errors import GrowthError
from dagrow.graph import Cost, NotGrowable
from dagrow.planner import Plan
from dagrow.planner.candidate import Candidate
from dagrow.planner.selection import WHERE, find_where, ranked

ORDER = ["a", "b", "c", "d"]


def candidate(place, gain=0.1, *, kind="widen", held=None, scores=(1.0,), cost=(10, 100), rejected="", **more):
    amplitude = 0.0 if rejected else 1.0
    fields = {
        "slope": None,
        "noise_level": 0.0,
        "shrinkage": 0.0,
        "neurons": 1,
        "amplitude": amplitude,
        **more,
    }
    return Candidate(
        kind,
        place,
        gain=gain,
        held_out_gain=held,
        scores=scores,
        cost=Cost(*cost),
        rejected=rejected,
        **fields,
    )


A = candidate("a", 0.2, scores=(3.0, 1.0), cost=(10, 400))
B = candidate("b", 0.5, scores=(2.0,), cost=(100, 300))
C = candidate("c", 0.3, scores=(), cost=(5, 900))
D = candidate("d", 0.9, rejected="over the budget", scores=(9.0,), cost=(1, 1))


STILL = candidate("b", 0.0, scores=(30.0, 1.0), still=True)
STILLER = candidate("a", 0.0, scores=(3.0,), still=True)


def places(candidates, where, turn=0):
    orders = {
        tuple(c.place + c.kind[0] for c in ranked(list(p), where, ORDER, turn))
        for p in itertools.permutations(candidates)
    }
    assert len(orders) == 1, "the order must not depend on how the candidates were made"
    return " ".join(orders.pop())


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("gain", "bw cw aw dw"),
        ("singular_value", "aw bw cw dw"),
        ("gain_per_parameter", "cw aw bw dw"),
        ("gain_per_mac", "bw aw cw dw"),
        ("round_robin", "aw bw cw dw"),
        ("smallest_gain", "aw cw bw dw"),
    ],
)
def test_strategies(where, expected):
    assert places([A, B, C, D], where) == expected


@pytest.mark.parametrize(
    ("turn", "expected"),
    [(0, "aw bw cw"), (1, "bw cw aw"), (2, "cw aw bw"), (3, "aw bw cw"), (7, "bw cw aw")],
)
def test_naive_takes_turns_over_the_places_that_there_are(turn, expected):
    assert places([A, B, C], "round_robin", turn) == expected


def test_naive_turns_skip_places_without_candidates():
    assert places([A, C], "round_robin", 1) == "cw aw"


def test_held_out_gains_decide_where_there_are_any():
    assert places([candidate("a", 0.9, held=0.1), candidate("b", 0.2, held=0.15)], "gain") == "bw aw"


BY_VALUE = [where for where in WHERE if where not in ("round_robin", "random")]


@pytest.mark.parametrize("where", BY_VALUE)
@pytest.mark.parametrize("off", [0.0, 1e-7, -1e-7], ids=["equal", "above", "below"])
def test_ties_go_to_the_simpler_change(where, off):
    """By kind, then by place; a difference of rounding is none."""
    first, *others = [
        candidate(place, 0.1, kind=kind, scores=(1.0,)) for kind in ("widen", "update") for place in "abc"
    ]
    rounded = replace(first, gain=0.1 * (1 + off), scores=(1.0 + off,))
    assert places([*others[:-1], rounded], where) == "aw bw cw au bu"


@pytest.mark.parametrize("off", [0.0, 1e-7, -1e-7], ids=["equal", "above", "below"])
def test_of_equal_gains_fewer_parameters(off):
    node, wider = candidate("a", 0.3, kind="node", cost=(4, 9)), candidate("b", 0.3 * (1 + off), cost=(5, 9))
    assert places([node, wider], "gain") == "an bw"


def test_gains_are_rounded_in_the_size_of_the_loss():
    small = [candidate("a", 1e-4), candidate("b", 1.01e-4)]
    assert [c.place for c in ranked(small, "gain", ORDER, 0, loss=0.1)] == ["b", "a"]
    assert [c.place for c in ranked(small, "gain", ORDER, 0, loss=10.0)] == ["a", "b"]


def test_lots_say_nothing_of_what_was_measured():
    drawn = [ranked([A, B, C], "random", ORDER, 0, seed=seed)[0].place for seed in range(40)]
    assert set(drawn) == {"a", "b", "c"}
    other = [replace(c, gain=2 * c.gain, scores=()) for c in (A, B, C)]
    assert [ranked(other, "random", ORDER, 0, seed=seed)[0].place for seed in range(40)] == drawn


@pytest.mark.parametrize("where", ["gain_per_parameter", "gain_per_mac"])
def test_what_costs_nothing_counts_as_one(where):
    assert places([candidate("a", 0.2, cost=(0, 0)), candidate("b", 0.3, cost=(2, 2))], where) == "aw bw"


def test_no_candidates():
    assert ranked([], "gain", ORDER, 3) == ()


def test_unknown_strategies():
    with pytest.raises(GrowthError) as caught:
        find_where("gains")
    assert str(caught.value) == (
        "unknown strategy 'gains' (did you mean 'gain'?); "
        "allowed: round_robin, singular_value, gain, gain_per_parameter, gain_per_mac, smallest_gain, random"
    )


def test_first_order_gain():
    assert candidate("a", slope=0.5, amplitude=3.0).first_order_gain == 1.5
    assert candidate("a", slope=None).first_order_gain is None


TABLE = """\
loss 1.25, held out 1.5 on 200 samples; best by gain
place  kind    neurons    gain  held out  first order  amplitude  shrinkage  parameters  multiply-adds
-----  ------  -------  ------  --------  -----------  ---------  ---------  ----------  -------------  ---------------
hid    widen         3  0.1234      0.11        0.375       0.75       0.01         +31            +28             best
hid    update        0     0.1         -            -          1          0          +0             +0
y      widen         0       0         -            -          0          0          +0             +0  over the budget
y: it is an output: its size belongs to the task"""


def test_the_table():
    first = candidate("hid", 0.123412, held=0.11, neurons=3, slope=0.5, amplitude=0.75, shrinkage=0.01, cost=(31, 28))
    second = candidate("hid", 0.1, kind="update", neurons=0, cost=(0, 0))
    third = candidate("y", 0.0, neurons=0, rejected="over the budget", cost=(0, 0))
    fixed = NotGrowable("y", "it is an output: its size belongs to the task")
    plan = Plan((first, second, third), 1.25, 1.5, 200, "gain", (fixed,))
    assert plan.best is first
    assert [line.rstrip() for line in str(plan).splitlines()] == [line.rstrip() for line in TABLE.splitlines()]
    assert all(line == line.rstrip() for line in str(plan).splitlines())


def test_plans_without_anything():
    assert str(Plan((), 0.5, None, 3, "round_robin")) == "loss 0.5 on 3 samples; best by round_robin\nno candidates"
    assert Plan((), 0.5, None, 3, "round_robin").best is None
    assert Plan((D,), 0.5, None, 3, "gain").best is None


@pytest.mark.parametrize("where", ["gain", "gain_per_parameter", "gain_per_mac"])
def test_what_changes_nothing_is_ranked_by_its_scores_behind_what_gains(where):
    """A gradient's norm is no rival to a measured gain: they have different units."""
    assert [c.selection_score for c in (A, STILL, STILLER)] == [0.2, 901.0, 9.0]
    assert ranked([STILLER, C, D, STILL], where, ORDER, 0) == (C, STILL, STILLER, D)


def test_in_turn_what_changes_nothing_has_its_turn():
    assert ranked([C, STILL], "round_robin", ORDER, 0) == (STILL, C)


def test_what_changes_nothing_and_scores_alike_takes_turns():
    same = [candidate(place, 0.0, scores=(), still=True, cost=(cost, 1)) for place, cost in (("a", 1), ("b", 2))]
    assert [ranked(same, "gain", ORDER, turn)[0].place for turn in range(4)] == ["a", "b", "a", "b"]
