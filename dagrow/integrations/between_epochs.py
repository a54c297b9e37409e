"""What growth between epochs of Lightning has in common, whatever it is that grows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from dagrow.distributed import Processes
from dagrow.errors import DagrowError, GrowthError, OptimizerError
from dagrow.integrations.several_processes import (
    Batches,
    processes_of,
    refuse_unfit_strategy,
    share_state,
    shared_batches,
    wrap_anew,
)
from dagrow.module_growth import ModulePlan
from dagrow.planner import Plan
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

Optimizers = torch.optim.Optimizer | list[torch.optim.Optimizer]


class GrowthBetweenEpochs(Callback):  # type: ignore[misc]
    """When growth steps are due, what they look at, and what is told of them.

    Args: as of the callbacks that are made of it.

    Attributes:
        plans: of the growth steps.
        done: growth steps so far.
    """

    def __init__(
        self,
        loss: Callable[[Any, Any], Tensor],
        every: int,
        steps: int | None,
        data: Iterable[Any] | None,
        batches: int,
        averages: Iterable[AveragedModel],
        options: dict[str, Any],
    ) -> None:
        super().__init__()
        if every < 1 or batches < 1:
            raise GrowthError("'every' and 'batches' are at least 1")
        self.loss, self.every, self.steps, self.data, self.batches = loss, every, steps, data, batches
        self.averages, self.options = tuple(averages), options
        self.plans: list[Plan | ModulePlan] = []
        self.done = 0

    @abstractmethod
    def grown_part(self, pl_module: Any) -> nn.Module:
        """What grows.

        Raises:
            GrowthError: if it is not there.
        """

    @abstractmethod
    def grow(self, part: Any, data: Batches, optimizers: Optimizers) -> tuple[Plan | ModulePlan, float]:
        """A proposal, whose best candidate is inserted.

        Args:
            part: that grows, in eval mode.
            data: batches that it looks at, on the device of the part.
            optimizers: of the trainer.

        Returns:
            The plan, and the gain of what was inserted; 0 if nothing was.
        """

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Refuses early what could not be done later."""
        refuse_unfit_strategy(trainer)
        self.grown_part(pl_module)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """A growth step, where it is due; none after the last epoch, for nothing would be trained any more."""
        epoch = trainer.current_epoch + 1
        last = trainer.max_epochs is not None and 0 <= trainer.max_epochs <= epoch
        if epoch % self.every or last or trainer.should_stop or (self.steps is not None and self.done >= self.steps):
            return
        part = self.grown_part(pl_module)
        optimizers = [_plain(optimizer) for optimizer in trainer.optimizers]
        modes, first = [(module, module.training) for module in part.modules()], next(part.parameters())
        processes = processes_of(trainer)
        share_state(part, processes)
        with random_numbers_kept(), torch.enable_grad(), torch.autocast(first.device.type, enabled=False):
            held = optimizers[0] if len(optimizers) == 1 else optimizers
            plan, gain = self.grow(part.eval(), self._look(trainer, first, processes), held)
        for module, mode in modes:
            module.training = mode
        wrap_anew(trainer, part, processes)
        self.done += 1
        self.plans.append(plan)
        size = sum(parameter.numel() for parameter in part.parameters())
        # All processes have found the same; Lightning warns where it is not told to compare.
        found = {"growth/gain": gain, "growth/parameters": float(size)}
        pl_module.log_dict(found, sync_dist=processes.count > 1)

    def state_dict(self) -> dict[str, Any]:
        """How many growth steps are done; grown sizes are not in a checkpoint of Lightning."""
        return {"done": self.done}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on counting."""
        self.done = int(state_dict["done"])

    def _look(self, trainer: Any, first: Tensor, processes: Processes) -> Batches:
        source = trainer.train_dataloader if self.data is None else self.data
        if not isinstance(source, Iterable):
            raise GrowthError("the trainer's loader gives no batches (x, y): give 'data'")
        found = []
        for number, batch in enumerate(source):
            if self.data is None and number * processes.count >= self.batches:
                break
            if not isinstance(batch, (tuple, list)) or len(batch) != 2:
                raise GrowthError("growth looks at batches (x, y), and the loader gives others: give 'data'")
            found.append((batch[0], batch[1]))
        shared = shared_batches(found, processes, same=self.data is not None)
        return [(moved(x, first), moved(y, first)) for x, y in shared]


def named_part(module: nn.Module, name: str) -> nn.Module:
    """The part of a module of that name, wrappers (DistributedDataParallel, torch.compile) taken off.

    Raises:
        GrowthError: if there is none.
    """
    try:
        given: Any = module
        for part in name.split("."):
            given = getattr(given, part)
    except AttributeError as error:
        raise GrowthError(f"the module has no '{name}'") from error
    found: nn.Module = unwrapped(given)
    return found


_WRAPPERS = (nn.parallel.DistributedDataParallel, nn.DataParallel)


def unwrapped(module: Any) -> Any:
    """A module without the wrappers around it."""
    while True:
        inner = getattr(module, "_orig_mod", None)
        if inner is None and isinstance(module, _WRAPPERS):
            inner = module.module
        if inner is None:
            return module
        module = inner


def _plain(optimizer: Any) -> torch.optim.Optimizer:
    """The optimizer of torch inside one of Lightning."""
    found = getattr(optimizer, "optimizer", optimizer)
    if not isinstance(found, torch.optim.Optimizer):
        raise OptimizerError(f"{type(found).__name__} is no optimizer of torch")
    return found


def moved(values: Any, like: Tensor) -> Any:
    """Tensors, or tuples and dicts of them, on the device of another; numbers in its format too."""
    if isinstance(values, Tensor):
        return values.to(like.device, like.dtype if values.is_floating_point() else None)
    if isinstance(values, dict):
        return {key: moved(value, like) for key, value in values.items()}
    return tuple(moved(value, like) for value in values)
