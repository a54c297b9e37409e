"""Choices between values that rounding may have told apart."""

import itertools

import pytest
import torch

from dagrow.ties import AGREE, agreeing, best_first, first_best


def order(values, rule, slack=0.0):
    return best_first(range(len(values)), values.__getitem__, lambda i: (rule[i], i), lambda i: slack)


@pytest.mark.parametrize("size", [1e-30, 1.0, -1.0, 1e30])
def test_what_agrees_goes_by_the_rule(size):
    for noise in itertools.permutations([0.0, AGREE / 3, -AGREE / 3]):
        assert order([size * (1 + each) for each in noise], [2, 0, 1]) == [1, 2, 0]
    assert order([size, size * (1 + 3 * AGREE), size * (1 - 3 * AGREE)], [0, 0, 0]) == (
        [1, 0, 2] if size > 0 else [2, 0, 1]
    )


def test_what_differs_by_less_than_its_slack_agrees():
    assert order([0.0, 0.5, 1.0, 9.0], [0, 1, 2, 3], slack=1.0) == [3, 0, 1, 2]
    assert order([0.0, 0.5, 1.0, 9.0], [0, 1, 2, 3], slack=0.6) == [3, 1, 2, 0]


@pytest.mark.parametrize("infinite", [float("inf"), -float("inf")])
def test_infinite_values_agree_with_one_another_only(infinite):
    assert order([infinite, 1.0, infinite], [1, 2, 0]) == ([2, 0, 1] if infinite > 0 else [1, 2, 0])


def test_the_first_of_a_vector():
    off = AGREE / 2
    assert first_best(torch.tensor([0.0, 1.0 - off, 1.0])) == 1
    assert first_best(torch.tensor([0.0, 1.0, 1.0 - off])) == 1
    assert first_best(torch.tensor([-2.0, -1.0 - off, -1.0])) == 1
    assert first_best(torch.tensor([-torch.inf, -torch.inf])) == 0
    assert agreeing(torch.tensor([[1.0, 1.0 - off], [1.0, 3.0]])).tolist() == [[True, True], [False, True]]
