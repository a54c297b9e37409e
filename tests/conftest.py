"""What holds for every test: one thread, drawn cases that are the same in every run, and how many of them are taken."""

import math
import os
from collections import defaultdict
from zlib import crc32

import pytest
import torch
from hypothesis import settings

from dagrow.planner import solve_candidates

# The suite runs in parallel, and small tensors gain nothing from more. Who asks for another number gets it.
if "OMP_NUM_THREADS" not in os.environ:
    torch.set_num_threads(1)

# So many drawn cases where a test does not say how many: HYPOTHESIS_EXAMPLES=1000 looks longer.
settings.register_profile(
    "dagrow", deadline=None, derandomize=True, max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "40"))
)
settings.load_profile("dagrow")


LONG, SHORTER_SEARCHES = solve_candidates.LEAST, 30


def pytest_addoption(parser):
    parser.addoption("--every-case", action="store_true", help="all cases of tests of which a share is taken")


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "share(part): of the cases of a test that is dear, so many are taken, drawn by their names"
    )


def pytest_collection_modifyitems(config, items):
    """A share of the cases of dear tests, unless all are asked for, or some by name."""
    if config.getoption("every_case") or any("[" in argument for argument in config.args):
        return
    cases = defaultdict(list)
    for item in items:
        if mark := item.get_closest_marker("share"):
            cases[item.nodeid.split("[")[0], *mark.args].append(item)
    left = set()
    for (_, part), own in cases.items():
        # Spread over the combinations, the same in every run, and other ones for another test.
        own.sort(key=lambda item: crc32(item.nodeid.encode()))
        left.update(own[math.ceil(part * len(own)) :])
    if left:
        config.hook.pytest_deselected(items=[item for item in items if item in left])
        items[:] = [item for item in items if item not in left]


@pytest.fixture(scope="session", autouse=True)
def short_searches():
    """Searches for non-linear neurons end sooner: they find less, and all that is promised of it holds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solve_candidates, "LEAST", LONG / SHORTER_SEARCHES)
        yield


@pytest.fixture
def long_searches(monkeypatch):
    """They take as long as in a run, for tests that ask how much is found."""
    monkeypatch.setattr(solve_candidates, "LEAST", LONG)
