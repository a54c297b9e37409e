"""What documentation registers or draws ends with the test."""

import pytest
import torch

from dagrow.methods import METHODS
from dagrow.ops import registry


@pytest.fixture
def unregistered(monkeypatch):
    """The tables of ops and methods as they were before, after the test."""
    monkeypatch.setattr(registry, "_OPS", dict(registry._OPS))
    before = dict(METHODS)
    yield
    METHODS.clear()
    METHODS.update(before)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty working directory; torch's generator is put back afterwards."""
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng(devices=[]):
        yield tmp_path
