from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import pytest
from export_networks import network_of
from zoo import EXPORTING as ZOO

from dagrow.build import Network
from dagrow.export import Exported, export_network


class Sample(NamedTuple):
    network: Network
    exported: Exported


@pytest.fixture(scope="session")
def zoo_export(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Sample]:
    """Each graph of the zoo in each form, written once per session: tracing takes seconds."""
    folder = tmp_path_factory.mktemp("exports")

    @cache
    def make(name: str, to: str) -> Sample:
        network = network_of(ZOO[name])
        return Sample(network, export_network(network, to, folder / to / name, name))

    return make
