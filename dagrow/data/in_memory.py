"""Samples that are given in Python: a run file can only say that they were."""

from __future__ import annotations

from dagrow.data.raw import Raw
from dagrow.errors import DataError
from dagrow.graph import Dag
from dagrow.objectives import Loss
from dagrow.spec.run import DataSpec


def read_in_memory(spec: DataSpec, dag: Dag, loss: Loss) -> Raw:
    """Refuses: the samples are not in the file.

    Raises:
        DataError: always.
    """
    raise DataError(
        "the samples of this run were given in Python, and a file does not hold them; "
        "give them again: dagrow.grow(..., train=...), with resume=True to continue"
    )
