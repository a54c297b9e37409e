"""The samples of a proposal: the same batches on every pass, split into fitting and held-out samples by index."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from dagrow.build import Network
from dagrow.distributed import ALONE, Processes
from dagrow.errors import DataError
from dagrow.randomness import seed_torch, torch_random_numbers_kept

LossFunction = Callable[[Any, Any], Tensor]
"""``(output, target) -> scalar mean loss``."""

_SEED = 0x0DA6

FEW_SAMPLES = 256
"""The place of a minimum is known well enough from so many samples and some of the rest."""

NOISE_SAMPLES = 512
"""Likewise a noise level."""

NOISE_DRAWS = 8
"""Draws of random signs: the spread of a noise level is known well enough from so many."""


@dataclass(frozen=True)
class Batch:
    """Some samples on the network's device.

    Attributes:
        inputs: one tensor per input of the graph.
        target: as the data gave it.
        size: samples.
        held: ``[size]`` true for held-out samples.
        signs: ``[size, draws]`` fixed random signs for the samples that the noise level is taken from, 0 for others.
        pilot_mask: ``[size]`` true for the samples that say where a search has to look.
        sample_uniform: ``[size]`` a fixed random number in [0, 1), by which samples are drawn.
    """

    inputs: tuple[Tensor, ...]
    target: Any
    size: int
    held: Tensor
    signs: Tensor
    pilot_mask: Tensor
    sample_uniform: Tensor

    @staticmethod
    def of(inputs: tuple[Tensor, ...], target: Any) -> Batch:
        """Samples that are not held out, and mean nothing for a noise level."""
        none = torch.zeros(len(inputs[0]), dtype=torch.bool, device=inputs[0].device)
        zeros = torch.zeros(len(none), 1, device=none.device)
        return Batch(inputs, target, len(none), none, zeros, none, zeros[:, 0])


@dataclass
class IndexedBatches:
    """Batches of ``(x, y)`` that can be gone through as often as needed.

    Which samples are held out, and the signs, depend on a sample's position in the data alone, so nothing
    changes with the way the data are cut into batches.

    Args:
        data: any iterable of ``(x, y)`` that yields the same on each pass, to the last bit.
        network: tells the device and the dtype.
        held_out: share of the samples kept from the statistics.
        processes: that share the samples; the data are this process's part, and follow those of the one before it.
        draws: of random signs, for a noise level.
    """

    data: Iterable[Any]
    network: Network
    held_out: float = 0.0
    processes: Processes = ALONE
    draws: int = NOISE_DRAWS
    _seen: list[tuple[int, int]] = field(default_factory=list)
    _complete: bool = False
    _samples: int | None = None

    @property
    def samples(self) -> int:
        """How many samples a pass has in all processes; known after the first."""
        if self._samples is not None:
            return self._samples
        found = sum(self.processes.numbers(sum(mark[0] for mark in self._seen)))
        self._samples = found if self._complete else None
        return found

    @cached_property
    def _first(self) -> int:
        """Position of this process's first sample among those of all."""
        if self.processes.count == 1:
            return 0
        own = self.expected_samples()
        return self.processes.before(sum(_rows_of(x) for x, _ in _pairs(self.data)) if own is None else own)

    def expected_samples(self) -> int | None:
        """How many samples of this process a pass will have, where the data say so without being read."""
        if isinstance(self.data, (list, tuple)):
            sizes = [_rows_of(item[0]) for item in self.data if isinstance(item, (list, tuple)) and len(item) == 2]
            return sum(sizes)
        owner = getattr(self.data, "dataset", None) or getattr(self.data, "samples", None)
        return len(owner) if isinstance(owner, Sized) else None

    def __iter__(self) -> Iterator[Batch]:
        example = next(iter((*self.network.parameters(), *self.network.buffers())), torch.zeros(()))
        names = tuple(self.network.spec.inputs)
        first, count = self._first, 0
        with _same_order(self.data):
            for count, (x, y) in enumerate(_pairs(self.data), start=1):
                inputs = _inputs(x, names, example)
                size = inputs[0].shape[0]
                if size == 0:
                    raise DataError(f"batch {count} of the data is empty")
                self._check_repeat(count, (size, _checksum((x, y))))
                index = np.arange(first, first + size, dtype=np.uint64)
                held = torch.from_numpy(_uniform(index, salt=1) < self.held_out)
                few = torch.from_numpy(_few(index, FEW_SAMPLES, 1 / 16))
                noisy = torch.from_numpy(_few(index, NOISE_SAMPLES, 1 / 16))
                signs = torch.from_numpy(_signs(index, self.draws)) * noisy.unsqueeze(1)
                device, dtype = inputs[0].device, example.dtype
                sample_uniform = torch.from_numpy(_uniform(index, salt=4))
                marks = (held.to(device), signs.to(device, dtype), few.to(device), sample_uniform.to(device))
                yield Batch(inputs, _to(y, device), size, *marks)
                first += size
        if count == 0:
            what = "came to an end: give a list or a DataLoader, not a generator" if self._complete else "are empty"
            raise DataError(f"the data {what}")
        if count != len(self._seen):
            raise DataError(_CHANGED)
        self._complete = True

    def _check_repeat(self, count: int, mark: tuple[int, int]) -> None:
        if not self._complete and len(self._seen) < count:
            self._seen.append(mark)
        elif count > len(self._seen) or self._seen[count - 1] != mark:
            raise DataError(_CHANGED)


_CHANGED = (
    "the data change from one pass to the next, and a measured gain would mean nothing: "
    "give a list of batches, or a DataLoader without random order or augmentation"
)


def _checksum(value: Any, before: int = 0) -> int:
    """Of every bit of tensors and arrays, in tuples, lists and dicts too; labels and inner samples count as all do."""
    if isinstance(value, Tensor):
        whole = value.detach().resolve_conj().resolve_neg().cpu().contiguous()
        return zlib.crc32(whole.reshape(-1).view(torch.uint8).numpy().data, before)
    if isinstance(value, np.ndarray):
        return zlib.crc32(np.ascontiguousarray(value).view(np.uint8).data, before)
    if isinstance(value, dict):
        value = [value[key] for key in sorted(value, key=str)]
    if isinstance(value, (tuple, list)):
        for part in value:
            before = _checksum(part, before)
        return before
    return zlib.crc32(repr(value).encode(), before) if isinstance(value, (int, float, str)) else before


def rows(value: Any, mask: Tensor) -> Any:
    """The samples of a tensor, or of a tuple, list or dict of tensors, where ``mask`` is true."""
    if value is None:
        return None
    if isinstance(value, Tensor):
        return value[mask]
    if isinstance(value, dict):
        return {key: rows(part, mask) for key, part in value.items()}
    return type(value)(rows(part, mask) for part in value)


def _rows_of(x: Any) -> int:
    first = next(iter(x.values()), None) if isinstance(x, dict) else x[0] if isinstance(x, (list, tuple)) else x
    return first.shape[0] if isinstance(first, Tensor) and first.dim() > 0 else 0


def gathered(value: Any, processes: Processes) -> Any:
    """The samples of all processes: of a tensor, or of a tuple, list or dict of tensors."""
    if value is None:
        return None
    if isinstance(value, Tensor):
        return processes.gather(value)
    if isinstance(value, dict):
        return {key: gathered(part, processes) for key, part in value.items()}
    return type(value)(gathered(part, processes) for part in value)


def joined(values: Sequence[Any]) -> Any:
    """The samples of several batches as one: tensors, or tuples, lists or dicts of tensors."""
    first = values[0]
    if first is None:
        return None
    if isinstance(first, Tensor):
        return torch.cat(list(values))
    if isinstance(first, dict):
        return {key: joined([value[key] for value in values]) for key in first}
    return type(first)(joined(parts) for parts in zip(*values, strict=True))


def _pairs(data: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    for item in data:
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            raise DataError("the data must yield (x, y) pairs, one per batch")
        yield item[0], item[1]


def _inputs(x: Any, names: tuple[str, ...], example: Tensor) -> tuple[Tensor, ...]:
    if isinstance(x, dict):
        missing = [name for name in names if name not in x]
        if missing:
            raise DataError(f"the data lack the input '{missing[0]}' of the graph")
        parts = [x[name] for name in names]
    else:
        parts = list(x) if isinstance(x, (tuple, list)) else [x]
    if len(parts) != len(names) or not all(isinstance(part, Tensor) for part in parts):
        raise DataError(
            f"the graph has {len(names)} inputs ({', '.join(names)}); each batch must give a tensor for each"
        )
    return tuple(
        _usable(part).to(example.device, example.dtype if part.is_floating_point() else None) for part in parts
    )


def _usable(tensor: Tensor) -> Tensor:
    """The tensor, or one like it that gradients may pass: those of ``torch.inference_mode`` let none."""
    return tensor.clone() if tensor.is_inference() else tensor


def _to(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return _usable(value).to(device)
    if isinstance(value, dict):
        return {key: _to(part, device) for key, part in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(_to(part, device) for part in value)
    return value


def _uniform(index: np.ndarray[Any, np.dtype[np.uint64]], salt: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A fixed pseudo-random number in [0, 1) per index (splitmix64)."""
    mixed = index + np.uint64(salt * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF)
    mixed = mixed * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) / 2.0**53


def _signs(index: np.ndarray[Any, np.dtype[np.uint64]], draws: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """``[n, draws]``: fixed random signs of each index."""
    numbers = np.arange(draws, dtype=np.uint64)
    mixed = index[:, None] * np.uint64(draws) + numbers
    return np.where(_uniform(mixed, salt=2) < 0.5, -1.0, 1.0)


def _few(index: np.ndarray[Any, np.dtype[np.uint64]], first: int, share: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Enough samples for an estimate: the first ones, and a share of the later ones."""
    return (index < first) | (_uniform(index, salt=3) < share)


class _same_order:
    """Within it, a shuffling DataLoader draws the order that it drew last time; the callers' RNG is untouched."""

    def __init__(self, data: Iterable[Any]) -> None:
        owners = (data, data.sampler) if isinstance(data, DataLoader) else ()
        generators = [getattr(owner, "generator", None) for owner in owners]
        self.generators = [g for g in dict.fromkeys(generators) if isinstance(g, torch.Generator)]

    def __enter__(self) -> None:
        self.states = [generator.get_state() for generator in self.generators]
        self.fork = torch_random_numbers_kept()
        self.fork.__enter__()
        seed_torch(_SEED)

    def __exit__(self, *error: Any) -> None:
        self.fork.__exit__(*error)
        for generator, state in zip(self.generators, self.states, strict=True):
            generator.set_state(state)
