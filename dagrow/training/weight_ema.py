"""The moving average of a run's weights."""

from __future__ import annotations

from typing import Any

from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from dagrow.build import Network


class WeightEMA:
    """The moving average of a network's weights and running statistics, or none.

    Args:
        network: as it is at the start.
        decay: part of the average that each gradient step keeps; None for no average.
    """

    def __init__(self, network: Network, decay: float | None) -> None:
        self.models: list[AveragedModel] = []
        if decay is not None:
            moving = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
            self.models.append(AveragedModel(network, multi_avg_fn=moving, use_buffers=True))

    def after_step(self, network: Network) -> None:
        """Takes in the weights after a gradient step."""
        for model in self.models:
            model.update_parameters(network)

    def network(self, network: Network) -> Network:
        """A copy of the network with the averages, if there are any; otherwise the network itself."""
        averaged = [model.module for model in self.models]
        return averaged[0] if averaged else network  # type: ignore[return-value]

    def put_into(self, network: Network) -> None:
        """Gives the network the averages in the place of its weights, if there are any."""
        for model in self.models:
            network.load_state_dict(model.module.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {str(index): dict(model.state_dict()) for index, model in enumerate(self.models)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what a checkpoint kept.

        Raises:
            KeyError, RuntimeError: if it is that of another network.
        """
        for index, model in enumerate(self.models):
            model.load_state_dict(state[str(index)])
