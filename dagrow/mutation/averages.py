"""Averages of the weights (EMA, SWA) through growth: the same change, made to the averaged copy of the network.

Entries that were there keep their average, updates of them are added to it, new entries start at the values
that the network itself gets: the average is that of a history in which the change was there from the start.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch.optim.swa_utils import AveragedModel

from dagrow.build import Network
from dagrow.errors import GrowthError


def averaged_networks(network: Network, averages: Sequence[AveragedModel]) -> list[Network]:
    """The networks inside averages of this one.

    Args:
        network: the one that is trained.
        averages: made by ``AveragedModel(network)``, and grown along since.

    Raises:
        GrowthError: if one is no average, or that of another network.
    """
    if not isinstance(averages, (list, tuple)):
        raise GrowthError(f"'averages' is a list of AveragedModel, not {type(averages).__name__}")
    found = []
    for average in averages:
        if not isinstance(average, AveragedModel):
            raise GrowthError(
                f"'averages' holds torch.optim.swa_utils.AveragedModel of the network, not {type(average).__name__}"
            )
        held = average.module
        if not isinstance(held, Network) or held.spec != network.spec:
            raise GrowthError(
                "an average is that of another network: make it by AveragedModel(model), and name it in 'averages' "
                "each time the model grows"
            )
        found.append(held)
    return found
