"""Some of the cases of `fuzz_graphs`: every kind of insertion comes about, and nothing but what was promised."""

from collections import Counter

from fuzz_graphs import run

from dagrow.planner import KINDS

CASES = 8


def test_drawn_graphs_through_all_that_is_done_with_a_network(tmp_path):
    found = Counter()
    for number in range(CASES):
        (tmp_path / str(number)).mkdir()
        found += run(3, number, tmp_path / str(number))
    for kind in KINDS:
        assert found[f"{kind} amplitude"] + found[f"{kind} silent"] > 0, kind
    assert found["exported"] >= CASES


def test_a_loss_that_falls_by_rounding_alone_is_no_gain(tmp_path):
    # A bias of 1e18 before a layer norm of one channel: what the network had computed is lost, and so was the promise.
    assert run(0, 415, tmp_path)["exported"] == 1
