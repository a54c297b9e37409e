"""Growth inside a training loop of Lightning: proposals between epochs, with the optimizer carried along."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from dagrow.build import Network
from dagrow.capture import CapturedModule, from_module
from dagrow.errors import GrowthError
from dagrow.integrations.between_epochs import GrowthBetweenEpochs, Optimizers, moved, named_part
from dagrow.integrations.several_processes import Batches
from dagrow.module_growth import ModulePlan, apply_to_module, propose_for_module, to_insert
from dagrow.planner import Plan, apply, propose


class GrowthCallback(GrowthBetweenEpochs):
    """Grows a network of `dagrow.build` that a LightningModule holds, after epochs of training.

    Weights, moments of all optimizers, and averages keep their entries; schedulers and scalers notice nothing. What
    was done is in `plans`, and is logged as ``growth/gain`` and ``growth/parameters``.

    Args:
        loss: ``(output, target) -> scalar``, the mean over samples, as the module trains it.
        every: epochs from one growth step to the next.
        steps: growth steps at most; None for no limit.
        data: batches ``(x, y)`` that a growth step looks at, the same in all processes; left out, those of the
            trainer's training loader.
        batches: of the training loader that it looks at, at most, by all processes together; they are read once and
            kept in memory.
        network: the attribute of the module, ``model`` or ``encoder.head``; left out, the only dagrow network in it.
        insert: ``amplitude``, ``zero_fan_out_unscaled`` or ``zero_fan_out``, see `dagrow.apply`.
        averages: `AveragedModel` objects of the network that grow along.
        options: of `dagrow.propose`: ``neurons``, ``nodes``, ``candidates``, ``max_parameters``, ...

    Raises:
        GrowthError: when training begins, if the module holds no dagrow network, or several and none is named; if
            several processes train it otherwise than by ``strategy="ddp"``.
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
        super().__init__(loss, every, steps, data, batches, averages, options)
        self.network, self.insert = network, insert

    def grown_part(self, pl_module: Any) -> nn.Module:
        """The network."""
        return found_network(pl_module, self.network)

    def grow(self, part: Network, data: Batches, optimizers: Optimizers) -> tuple[Plan, float]:
        """A proposal, whose best candidate is inserted."""
        plan = propose(part, self.loss, data, **self.options)
        if plan.best is None:
            return plan, 0.0
        apply(part, plan.best, optimizers, insert=self.insert, averages=self.averages)
        return plan, float(plan.best.gain)


class ModuleGrowthCallback(GrowthBetweenEpochs):
    """Grows a module of one's own that a LightningModule holds, in place, after epochs of training.

    Weights, moments of all optimizers, and averages keep their entries; schedulers and scalers notice nothing. What
    was done is in `plans`, and is logged as ``growth/gain`` and ``growth/parameters``.

    Args:
        loss: ``(output, target) -> scalar``, the mean over samples, as the module trains it.
        module: what `dagrow.from_module` made of a part of the LightningModule, or the name of the part, ``model`` or
            ``encoder.head``: then it is captured at the first growth step, with the first batch as its example.
        every: epochs from one growth step to the next.
        steps: growth steps at most; None for no limit.
        data: batches ``(x, y)`` that a growth step looks at, ``x`` as the part takes it, the same in all processes;
            left out, those of the trainer's training loader.
        batches: of the training loader that it looks at, at most, by all processes together; they are read once and
            kept in memory.
        silent: new channels start with outgoing weights of 0, so that the function is kept.
        averages: `AveragedModel` objects of the part that grow along.
        options: of `dagrow.propose` for modules: ``neurons``, ``spaces``, ``method``, ``multiple_of``, ...

    Attributes:
        captured: the module, for `dagrow.save_module`; None until it was captured.

    Raises:
        GrowthError: when training begins, if the LightningModule does not hold the part; if several processes train
            it otherwise than by ``strategy="ddp"``.
        CaptureError: if it cannot be captured.
    """

    def __init__(
        self,
        loss: Callable[[Any, Any], Tensor],
        module: CapturedModule | str,
        *,
        every: int = 1,
        steps: int | None = None,
        data: Iterable[Any] | None = None,
        batches: int = 16,
        silent: bool = True,
        averages: Iterable[AveragedModel] = (),
        **options: Any,
    ) -> None:
        super().__init__(loss, every, steps, data, batches, averages, options)
        self.module, self.silent = module, silent
        self.captured = module if isinstance(module, CapturedModule) else None

    def grown_part(self, pl_module: Any) -> nn.Module:
        """The part."""
        if isinstance(self.module, str):
            return named_part(pl_module, self.module)
        model = self.module.model
        if not any(part is model for part in pl_module.modules()):
            raise GrowthError(f"the captured {type(model).__name__} is no part of {type(pl_module).__name__}")
        return model

    def grow(self, part: nn.Module, data: Batches, optimizers: Optimizers) -> tuple[ModulePlan, float]:
        """A proposal, whose best candidate is inserted."""
        if self.captured is None or self.captured.model is not part:
            self.captured = from_module(part, data[0][0])
        captured = self.captured
        # The trainer may have moved the module since it was captured.
        captured.example_inputs = moved(captured.example_inputs, next(part.parameters()))
        captured.outdated = True
        plan = propose_for_module(captured, self.loss, data, **self.options)
        best, _ = to_insert(plan)
        if best is None:
            return plan, 0.0
        apply_to_module(captured, best, optimizers, averages=self.averages, silent=self.silent)
        return plan, best.gain


def found_network(module: nn.Module, name: str | None = None) -> Network:
    """The dagrow network in a module, wrappers (DistributedDataParallel, torch.compile) taken off.

    Raises:
        GrowthError: if there is none of that name; without a name, if there is not just one.
    """
    if name is not None:
        network = named_part(module, name)
        if not isinstance(network, Network):
            raise GrowthError(f"'{name}' is a {type(network).__name__}, not a network of dagrow.build")
        return network
    networks = {id(part): part for part in module.modules() if isinstance(part, Network)}
    if len(networks) != 1:
        raise GrowthError(
            f"the module holds {len(networks) or 'no'} networks of dagrow.build: give 'network', its name"
        )
    return next(iter(networks.values()))
