"""Growth inside a training loop of Lightning: proposals between epochs, with the optimizer carried along."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from dagrow.build import Network
from dagrow.errors import DagrowError, GrowthError, OptimizerError
from dagrow.planner import Plan, apply, propose
from dagrow.randomness import random_numbers_kept

try:
    from lightning.pytorch.callbacks import Callback
except ImportError as _missing:
    try:
        from pytorch_lightning.callbacks import Callback
    except ImportError:
        raise DagrowError(
            "dagrow.lightning needs the package 'lightning': pip install 'dagrow[lightning]'"
        ) from _missing


class GrowthCallback(Callback):  # type: ignore[misc]
    """Grows a network of `dagrow.build` that a LightningModule holds, after epochs of training.

    Weights, moments of all optimizers, and averages keep their entries; schedulers and scalers notice nothing. What
    was done is in `plans`, and is logged as ``growth/gain`` and ``growth/parameters``.

    Args:
        loss: ``(output, target) -> scalar``, the mean over samples, as the module trains it.
        every: epochs from one growth step to the next.
        steps: growth steps at most; None for no limit.
        data: batches ``(x, y)`` that a growth step looks at; left out, those of the trainer's training loader.
        batches: of the training loader that it looks at, at most; they are read once and kept in memory.
        network: the attribute of the module, ``model`` or ``encoder.head``; left out, the only dagrow network in it.
        insert: ``amplitude``, ``zero_fan_out_unscaled`` or ``zero_fan_out``, see `dagrow.apply`.
        averages: `AveragedModel` objects of the network that grow along.
        options: of `dagrow.propose`: ``neurons``, ``nodes``, ``candidates``, ``max_parameters``, ...

    Raises:
        GrowthError: when training begins, if the module holds no dagrow network, or several and none is named; if
            several processes train it: each would grow its own.
    """

    def __init__(
        self,
        loss: Callable[[Any, Any], Tensor],
        *,
        every: int = 1,
        steps: int | None = None,
        data: Iterable[Any] | None = None,
        batches: int = 16,
        network: str | None = None,
        insert: str = "zero_fan_out_unscaled",
        averages: Iterable[AveragedModel] = (),
        **options: Any,
    ) -> None:
        super().__init__()
        if every < 1 or batches < 1:
            raise GrowthError("'every' and 'batches' are at least 1")
        self.loss, self.every, self.steps, self.data = loss, every, steps, data
        self.batches, self.network, self.insert = batches, network, insert
        self.averages, self.options = tuple(averages), options
        self.plans: list[Plan] = []
        self.done = 0

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Refuses early what could not be done later."""
        _alone(trainer)
        found_network(pl_module, self.network)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """A growth step, where it is due; none after the last epoch, for nothing would be trained any more."""
        epoch = trainer.current_epoch + 1
        last = trainer.max_epochs is not None and 0 <= trainer.max_epochs <= epoch
        if epoch % self.every or last or trainer.should_stop or (self.steps is not None and self.done >= self.steps):
            return
        network = found_network(pl_module, self.network)
        optimizers = [_plain(optimizer) for optimizer in trainer.optimizers]
        training, first = network.training, next(network.parameters())
        with random_numbers_kept(), torch.enable_grad(), torch.autocast(first.device.type, enabled=False):
            plan = propose(network.eval(), self.loss, self._look(trainer, first), **self.options)
            if plan.best is not None:
                held = optimizers[0] if len(optimizers) == 1 else optimizers
                apply(network, plan.best, held, insert=self.insert, averages=self.averages)
        network.train(training)
        self.done += 1
        self.plans.append(plan)
        size = sum(parameter.numel() for parameter in network.parameters())
        gain = 0.0 if plan.best is None else float(plan.best.gain)
        pl_module.log_dict({"growth/gain": gain, "growth/parameters": float(size)})

    def state_dict(self) -> dict[str, Any]:
        """How many growth steps are done; the network's graph is not in a checkpoint of Lightning."""
        return {"done": self.done}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on counting."""
        self.done = int(state_dict["done"])

    def _look(self, trainer: Any, first: Tensor) -> list[tuple[Any, Any]]:
        source = trainer.train_dataloader if self.data is None else self.data
        if not isinstance(source, Iterable):
            raise GrowthError("the trainer's loader gives no batches (x, y): give 'data'")
        found = []
        for number, batch in enumerate(source):
            if self.data is None and number >= self.batches:
                break
            if not isinstance(batch, (tuple, list)) or len(batch) != 2:
                raise GrowthError("growth looks at batches (x, y), and the loader gives others: give 'data'")
            found.append((_moved(batch[0], first), _moved(batch[1], first)))
        return found


def found_network(module: nn.Module, name: str | None = None) -> Network:
    """The dagrow network in a module, wrappers (DistributedDataParallel, torch.compile) taken off.

    Raises:
        GrowthError: if there is none of that name; without a name, if there is not just one.
    """
    if name is not None:
        try:
            given: Any = module
            for part in name.split("."):
                given = getattr(given, part)
        except AttributeError as error:
            raise GrowthError(f"the module has no '{name}'") from error
        network = _unwrapped(given)
        if not isinstance(network, Network):
            raise GrowthError(f"'{name}' is a {type(network).__name__}, not a network of dagrow.build")
        return network
    networks = {id(part): part for part in module.modules() if isinstance(part, Network)}
    if len(networks) != 1:
        raise GrowthError(
            f"the module holds {len(networks) or 'no'} networks of dagrow.build: give 'network', its name"
        )
    return next(iter(networks.values()))


_WRAPPERS = (nn.parallel.DistributedDataParallel, nn.DataParallel)


def _unwrapped(module: Any) -> Any:
    while True:
        inner = getattr(module, "_orig_mod", None)
        if inner is None and isinstance(module, _WRAPPERS):
            inner = module.module
        if inner is None:
            return module
        module = inner


def _alone(trainer: Any) -> None:
    if trainer.world_size > 1:
        raise GrowthError(
            f"{trainer.world_size} processes train this module, and each would grow a network of its own: use one "
            "device, or `torchrun -m dagrow grow`, whose processes decide as one"
        )


def _plain(optimizer: Any) -> torch.optim.Optimizer:
    """The optimizer of torch inside one of Lightning."""
    found = getattr(optimizer, "optimizer", optimizer)
    if not isinstance(found, torch.optim.Optimizer):
        raise OptimizerError(f"{type(found).__name__} is no optimizer of torch")
    return found


def _moved(values: Any, like: Tensor) -> Any:
    if isinstance(values, Tensor):
        return values.to(like.device, like.dtype if values.is_floating_point() else None)
    if isinstance(values, dict):
        return {key: _moved(value, like) for key, value in values.items()}
    return tuple(_moved(value, like) for value in values)
