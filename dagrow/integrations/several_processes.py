"""Growth in several processes of Lightning: all look at the same batches, decide alike, and are wrapped anew."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from dagrow.distributed import ALONE, Group, Processes
from dagrow.errors import GrowthError

Batches = list[tuple[Any, Any]]


def refuse_unfit_strategy(trainer: Any) -> None:
    """Refuses early what could not be done at a growth step.

    Args:
        trainer: of Lightning.

    Raises:
        GrowthError: if several processes train a module in parts, or hand its weights back by their sizes.
    """
    if trainer.world_size == 1:
        return
    strategy = trainer.strategy
    name = type(strategy).__name__
    if not isinstance(strategy.model, DistributedDataParallel):
        raise GrowthError(
            f"{name} of {trainer.world_size} processes cannot take up a network that has grown: use Trainer("
            "strategy='ddp'), or one device"
        )
    if getattr(strategy, "_start_method", "popen") != "popen":
        raise GrowthError(
            f"{name} started {trainer.world_size} processes from within this one, which will not take back what has "
            "grown in them: use Trainer(strategy='ddp') in a script of its own, or one device"
        )


def processes_of(trainer: Any) -> Processes:
    """The processes that train the module."""
    return Group(trainer.strategy.root_device) if trainer.world_size > 1 else ALONE


def shared_batches(own: Batches, processes: Processes, same: bool) -> Batches:
    """The batches of all processes, so that all decide alike.

    Args:
        own: of this process: numbers, tensors, and lists, tuples and dicts of them.
        processes: all of them.
        same: whether all have the same ones: then those of the first count.

    Returns:
        The batches, on the CPU if others than this process gave some.
    """
    if processes.count == 1:
        return own
    found = processes.exchange(own if not same or processes.rank == 0 else [])
    return [batch for batches in found for batch in batches]


def share_state(part: nn.Module, processes: Processes) -> None:
    """Gives all processes the weights and buffers of the first: running statistics are those of each one's samples."""
    processes.copy_first([tensor.detach() for tensor in (*part.parameters(), *part.buffers())])


def wrap_anew(trainer: Any, grown: nn.Module, processes: Processes) -> None:
    """Gives the strategy the grown module: its wrapper holds the old parameters.

    The new wrapper gives all processes the weights of the first.

    Raises:
        ProcessError: if another process has grown otherwise.
    """
    if processes.count == 1:
        return
    sizes = [(name, tuple(parameter.shape)) for name, parameter in grown.named_parameters()]
    processes.agree("grown network", repr(sizes))
    trainer.strategy.model = trainer.lightning_module
    with torch.enable_grad():
        trainer.strategy.configure_ddp()
