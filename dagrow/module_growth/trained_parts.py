"""What goes on when a run of a module goes on: the module, optimizer, scheduler, averages and random numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel

from dagrow.capture import named_tensors
from dagrow.errors import RunError
from dagrow.resize.reload import read_tensors, resized
from dagrow.resize.saved import GROWTH, WEIGHTS
from dagrow.runs.checkpoint import random_state, set_random_state
from dagrow.training.optimizer_snapshot import optimizer_state, set_optimizer_state


@dataclass(frozen=True)
class TrainedParts:
    """The objects of a loop.

    Attributes:
        model: that is trained.
        optimizer: over its parameters.
        scheduler: of the optimizer.
        averages: of the weights.
        train: the batches; a generator of its own, as of a ``DataLoader``, goes along.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: LRScheduler | None
    averages: Sequence[AveragedModel]
    train: Iterable[Any]

    @property
    def device(self) -> torch.device:
        """Of the parameters."""
        return next(self.model.parameters()).device

    @property
    def parameter_count(self) -> int:
        """Entries of all parameters."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def _generator(self) -> torch.Generator | None:
        found = getattr(self.train, "generator", None)
        return found if isinstance(found, torch.Generator) else None

    def entry(self) -> dict[str, Any]:
        """All but what `dagrow.save_module` writes, as plain data and tensors.

        Raises:
            RunError: if the optimizer holds parameters of something else.
        """
        saved = set(self.model.state_dict(keep_vars=True))
        try:
            optimizer = optimizer_state(self.model, self.optimizer)
        except KeyError:
            raise RunError("the optimizer holds a parameter that is not the module's") from None
        return {
            "kinds": self._kinds(),
            "optimizer": optimizer,
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "averages": [dict(named_tensors(average)) for average in self.averages],
            # The order in memory decides in which order a product is summed up, and so its last bits.
            "tensors": {n: t for n, t in named_tensors(self.model) if n not in saved or not t.is_contiguous()},
            "random": random_state(self.device),
            "generator": None if self._generator is None else self._generator.get_state(),
        }

    def _kinds(self) -> dict[str, Any]:
        """What has to be given again."""
        scheduler = "none" if self.scheduler is None else type(self.scheduler).__name__
        kinds = {"optimizer": type(self.optimizer).__name__, "scheduler": scheduler, "averages": len(self.averages)}
        return kinds | {"generator of the data": self._generator is not None}

    def check(self, entry: Mapping[str, Any]) -> None:
        """Refuses other objects than those of a run, before anything is changed.

        Raises:
            RunError: naming what differs.
        """
        for name, here in self._kinds().items():
            if here != (there := entry["kinds"][name]):
                raise RunError(f"the run was begun with {name}: {there}, not {here}")

    def restore(self, entry: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """Gives a module made anew, and all beside it but random numbers, the state of a run.

        Args:
            entry: of `entry`.
            folder: with the files of `dagrow.save_module`.

        Returns:
            What growth has set on the module, see `CapturedModule.attributes`.

        Raises:
            KeyError, TypeError, ValueError, RuntimeError: if it is not the state of such objects.
        """
        growth = json.loads((folder / GROWTH).read_text(encoding="utf-8"))
        more: dict[str, Tensor] = entry["tensors"]
        names: dict[int, str] = {id(parameter): name for name, parameter in self.model.named_parameters()}
        groups = [[names[id(p)] for p in group["params"]] for group in self.optimizer.param_groups]
        sizes = {name: list(tensor.shape) for name, tensor in more.items()}
        sizes = {name: size for name, size in sizes.items() if name in _firsts(self.model)}
        resized(self.model, growth | {"tensors": growth["tensors"] | sizes}, read_tensors(folder / WEIGHTS) | more)
        grown = dict(self.model.named_parameters())
        self.optimizer.state.clear()
        for group, own in zip(self.optimizer.param_groups, groups, strict=True):
            group["params"] = [grown[name] for name in own]
        set_optimizer_state(self.model, self.optimizer, entry["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(entry["scheduler"])
        for average, tensors in zip(self.averages, entry["averages"], strict=True):
            attributes = {f"module.{path}".rstrip("."): own for path, own in growth["attributes"].items()}
            sizes = {name: list(tensors[name].shape) for name in _firsts(average)}
            resized(average, growth | {"attributes": attributes, "tensors": sizes}, tensors)
        return {path: dict(own) for path, own in growth["attributes"].items()}

    def restore_random_numbers(self, entry: Mapping[str, Any]) -> None:
        """Puts the random numbers of the process, and of the data, where they stood."""
        set_random_state(entry["random"], self.device)
        if self._generator is not None:
            self._generator.set_state(entry["generator"])


def _firsts(model: nn.Module) -> list[str]:
    """Names of tensors; one that has several is named once."""
    return [*dict(model.named_parameters()), *dict(model.named_buffers())]
