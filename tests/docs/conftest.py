"""What documentation registers or draws ends with the test."""

import pytest
import torch

from dagrow.registry import rollback_on_error


@pytest.fixture
def unregistered():
    """The registries as they were before, after the test."""
    with rollback_on_error() as restore:
        yield
        restore()


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty working directory; torch's generator is put back afterwards."""
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng(devices=[]):
        yield tmp_path
