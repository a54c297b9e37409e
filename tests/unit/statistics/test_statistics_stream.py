"""Data that are not the same on every pass are noticed, whatever it is that changes."""

import pytest
import torch

from dagrow.build import build
from dagrow.errors import DataError
from dagrow.spec.graph import GraphSpec
from dagrow.statistics import IndexedBatches

SPEC = {"inputs": {"x": {"shape": [4]}}, "nodes": {"y": {"size": 2}}, "edges": {"x -> y": "linear"}, "outputs": "y"}


def changed(what, x, y):
    """Another batch: one value, label or order of samples that is not at its ends is another."""
    x, y = x.clone(), y.clone()
    if what == "labels":
        y[5] = 1 - y[5]
    elif what == "a value":
        x[5, 2] += 1e-6
    elif what == "order within":
        x[1:-1] = x[1:-1].flip(0)
    elif what == "order of features":
        x = x.flip(1)
    elif what == "pairs":
        y = y.flip(0)
    return x, y


class Batches:
    def __init__(self, what, wrap=lambda x: x):
        generator = torch.Generator().manual_seed(0)
        self.x, self.y = torch.randn(12, 4, generator=generator), torch.arange(12) // 3 % 2
        self.what, self.passes, self.wrap = what, 0, wrap

    def __iter__(self):
        self.passes += 1
        x, y = changed(self.what, self.x, self.y) if self.passes > 1 else (self.x.clone(), self.y.clone())
        for part in (slice(0, 6), slice(6, 12)):
            yield x[part], self.wrap(y[part])


def passes(data, count=3):
    stream = IndexedBatches(data, build(GraphSpec.model_validate(SPEC), seed=0))
    for _ in range(count):
        for _ in stream:
            pass


WRAPS = {"tensor": lambda y: y, "dict": lambda y: {"a": y, "b": [y.float()]}, "array": lambda y: y.numpy()}


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("what", ["labels", "a value", "order within", "order of features", "pairs"])
def test_it_is_noticed(what, wrap):
    with pytest.raises(DataError, match="the data change from one pass to the next"):
        passes(Batches(what, WRAPS[wrap]))


@pytest.mark.parametrize("wrap", WRAPS)
def test_what_stays_the_same_passes(wrap):
    passes(Batches("nothing", WRAPS[wrap]))


def test_numbers_that_are_none_stay_the_same():
    data = Batches("nothing")
    data.x[3] = torch.nan
    passes(data)
