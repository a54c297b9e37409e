"""Gradients below frozen tables: an embedding passes none to its input, so its weight has to begin the graph."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dagrow.build import Network
from dagrow.build.emit import edge_module


@contextmanager
def differentiable_tables(network: Network) -> Iterator[None]:
    """Within it, weights of ops that take tokens require gradients though they are frozen; none is kept for them."""
    tables = [
        network.get_parameter(f"{edge_module(edge)}.weight")
        for edge, op in network.spec.edges.items()
        if op.parametrised and op.reads_tokens
    ]
    frozen = [table for table in tables if not table.requires_grad]
    for table in frozen:
        table.requires_grad_(True)
    try:
        yield
    finally:
        for table in frozen:
            table.requires_grad_(False)
