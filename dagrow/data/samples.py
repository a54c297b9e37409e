"""Samples in memory: what a source gave, kept as it was stored and converted batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from dagrow.data.augment import Augmenter
from dagrow.data.augment.augmentation import Place
from dagrow.data.chain import Transform
from dagrow.data.preprocessing import Preprocessing
from dagrow.data.stored import Stored, in_memory, joined
from dagrow.distributed import ALONE, Processes
from dagrow.errors import DataError

Values = Tensor | tuple[Tensor, ...]
Batch = tuple[Values, Values]


@dataclass(frozen=True, eq=False)
class Samples:
    """Inputs with their targets, one tensor per graph input and output, samples first.

    `inputs` are as stored (bytes of an image stay bytes): take what the network reads from `batches` or `xy`.

    Attributes:
        inputs: one per graph input.
        targets: one per graph output, ready for the loss.
        transforms: one per graph input, None where the stored values are used as they are; may be left out.
        dtype: in which the network reads and the loss compares, where these are no whole numbers.
        augment: changes training inputs in batches that are shuffled; None where nothing does.
    """

    inputs: tuple[Stored, ...]
    targets: tuple[Tensor, ...]
    transforms: tuple[Transform | None, ...] = ()
    dtype: torch.dtype = torch.float32
    augment: Augmenter | None = None

    def __post_init__(self) -> None:
        if not self.inputs or not self.targets:
            raise DataError("samples need at least one input and one target")
        counts = sorted({len(tensor) for tensor in (*self.inputs, *self.targets)})
        if len(counts) > 1:
            raise DataError(f"inputs and targets have different numbers of samples: {counts}")
        if not self.transforms:
            object.__setattr__(self, "transforms", (None,) * len(self.inputs))
        if len(self.transforms) != len(self.inputs):
            raise DataError(f"{len(self.inputs)} inputs need as many transforms, not {len(self.transforms)}")

    def __len__(self) -> int:
        return len(self.inputs[0])

    def rows(self, index: Tensor | slice) -> Samples:
        """Some of the samples (a view where ``index`` is a slice)."""
        inputs = tuple(x[index] for x in self.inputs)
        return replace(self, inputs=inputs, targets=tuple(y[index] for y in self.targets))

    def joined(self, other: Samples) -> Samples:
        """These samples, then others of the same kind."""
        inputs = tuple(joined(*pair) for pair in zip(self.inputs, other.inputs, strict=True))
        targets = tuple(torch.cat(pair) for pair in zip(self.targets, other.targets, strict=True))
        return replace(self, inputs=inputs, targets=targets)

    def xy(self) -> Batch:
        """All samples, converted, as one batch: a tensor for one input (output), else a tuple of tensors."""
        pairs = zip(map(in_memory, self.inputs), self.transforms, strict=True)
        x = tuple(self._read(change(stored) if change else stored) for stored, change in pairs)
        return _one_or_all(x), _one_or_all(tuple(map(self._read, self.targets)))

    def _read(self, values: Tensor) -> Tensor:
        return values.to(self.dtype) if values.is_floating_point() else values

    def batches(self, size: int) -> Batches:
        """All samples in their order, ``size`` at a time; the last batch may be shorter."""
        return Batches(self, size)

    def part(self, processes: Processes) -> Samples:
        """Those of this process: a view, all parts in a row."""
        return self.rows(processes.part(0, len(self)))

    def shuffled_batches(self, size: int, generator: torch.Generator, processes: Processes = ALONE) -> Batches:
        """Like `batches`, in an order drawn now: iterating twice gives the same order twice.

        Args:
            size: of a batch, over all processes.
            generator: draws the order.
            processes: that share each batch; their number changes nothing in the order.
        """
        order = torch.randperm(len(self), generator=generator, device=generator.device)
        seed = None
        if self.augment is not None:
            seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        return Batches(self, size, order.to(self.inputs[0].device), processes, seed)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Samples:
        """The same on another device, perhaps read in another dtype; bytes travel as bytes."""
        return replace(
            self,
            inputs=tuple(x.to(device) for x in self.inputs),
            targets=tuple(y.to(device) for y in self.targets),
            transforms=tuple(change and change.to(device) for change in self.transforms),
            dtype=dtype or self.dtype,
        )

    def augmented(self, place: Place) -> Samples:
        """These samples of a batch, randomly changed, in memory."""
        assert self.augment is not None
        return replace(self, inputs=self.augment(tuple(map(in_memory, self.inputs)), place))


@dataclass(frozen=True, eq=False)
class Batches:
    """An iterable of ``(x, y)`` that can be gone through again and again; it holds no converted sample.

    Attributes:
        samples: where they come from.
        size: samples per batch.
        order: order of the samples, None for the one they are in.
        processes: that share each batch.
        seed: of random changes of the samples, None for no changes.
    """

    samples: Samples
    size: int
    order: Tensor | None = None
    processes: Processes = ALONE
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.size < 1:
            raise DataError(f"a batch needs at least 1 sample, not {self.size}")

    def __len__(self) -> int:
        return -(-len(self.samples) // self.size)

    def __iter__(self) -> Iterator[Batch]:
        for start, stop in self._ranges():
            own = self.processes.part(start, stop)
            # Of too few samples for all, some processes get one that another has too: its weight is 0, see `sizes`.
            part = own if own.start < own.stop else slice(start, start + 1)
            rows = self.samples.rows(part if self.order is None else self.order[part])
            if self.seed is not None:
                rows = rows.augmented(Place(self.seed + start, stop - start, part.start - start))
            yield rows.xy()

    def portions(self) -> Iterator[ReplicaBatch]:
        """The batches with their sizes."""
        for (x, y), (size, whole) in zip(self, self.sizes(), strict=True):
            yield ReplicaBatch(x, y, size, whole)

    def sizes(self) -> Iterator[tuple[int, int]]:
        """Per batch, how many of its samples count in this process, and in all of them."""
        for start, stop in self._ranges():
            own = self.processes.part(start, stop)
            yield own.stop - own.start, stop - start

    def _ranges(self) -> Iterator[tuple[int, int]]:
        count = len(self.samples)
        yield from ((start, min(start + self.size, count)) for start in range(0, count, self.size))


class ReplicaBatch(NamedTuple):
    """What one process has of a batch.

    Attributes:
        x: its inputs.
        y: its targets.
        size: samples that count in this process; 0 where the batch has too few for all.
        whole: samples in all processes.
    """

    x: Values
    y: Values
    size: int
    whole: int


@dataclass(frozen=True, eq=False)
class TrainTestSplit:
    """Samples to learn from and samples to be judged by.

    Attributes:
        train: to learn from.
        test: to be judged by.
        preprocessing: what was done to both, and what their targets mean; None where nobody says.
        notes: sentences on what the source found, for the person who runs it.
        validation: to judge by while training, where the source has such a set; nothing is ever trained on it.
    """

    train: Samples
    test: Samples
    preprocessing: Preprocessing | None = None
    notes: tuple[str, ...] = ()
    validation: Samples | None = None

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> TrainTestSplit:
        """The same on another device, perhaps read in another dtype."""
        validation = self.validation and self.validation.to(device, dtype)
        return replace(
            self, train=self.train.to(device, dtype), test=self.test.to(device, dtype), validation=validation
        )


def _one_or_all(tensors: tuple[Tensor, ...]) -> Values:
    return tensors[0] if len(tensors) == 1 else tensors
