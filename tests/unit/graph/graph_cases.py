"""Small specs, and the problems that their graphs have."""

from typing import Any

import pytest
from zoo import graph

from dagrow.errors import SpecError
from dagrow.graph import Dag


def problems(*args: Any) -> list[tuple[str, str]]:
    """Path and message of every problem of a graph."""
    with pytest.raises(SpecError) as caught:
        Dag.of(graph(*args))
    return [(" / ".join(problem.path), problem.message) for problem in caught.value.problems]
