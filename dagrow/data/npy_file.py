"""An array in an ``.npy`` file, of which no more is read than is wanted: it may be larger than the memory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor

from dagrow.data.npz import DAMAGED, opened_array
from dagrow.data.raw import to_tensor
from dagrow.data.stored import SampleStore
from dagrow.errors import DataError
from dagrow.layout import Shape


@dataclass(frozen=True, eq=False)
class NpyFile(SampleStore):
    """Samples in the order of the file. They are read, not mapped: the pages that they were on do not add up.

    Attributes:
        path: of the file.
        extents: ``[samples, ...]``.
        stored: number format in the file.
        offset: bytes before the first sample.
    """

    path: str
    extents: Shape
    stored: np.dtype
    offset: int

    @classmethod
    def opened(cls, path: str) -> NpyFile:
        """The array in a file, once its head is read.

        Raises:
            DataError: if it is none, holds no numbers, or has its samples last.
        """
        with opened_array(path) as file:
            try:
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, fortran, dtype = read(file)
            except DAMAGED as error:
                raise DataError(f"{path}: not an .npy file, or damaged ({error})") from error
            offset, size = file.tell(), os.fstat(file.fileno()).st_size
        if dtype.hasobject:
            raise DataError(f"{path}: holds Python objects, which are never loaded; save numbers")
        to_tensor(np.zeros((1,) * max(1, len(shape)), dtype), path)
        if not shape:
            raise DataError(f"{path}: is a single number; its first dimension must be the samples")
        if fortran and len(shape) > 1:
            raise DataError(f"{path}: is stored column by column; save numpy.ascontiguousarray of it")
        if size < offset + prod(shape) * dtype.itemsize:
            raise DataError(f"{path}: is cut off")
        return cls(path, tuple(shape), dtype, offset)

    @property
    def shape(self) -> Shape:
        """``[samples, ...]``."""
        return self.extents

    @property
    def dtype(self) -> torch.dtype:
        """As arrays in memory have it."""
        return to_tensor(np.zeros(1, self.stored), self.path).dtype

    def read(self, index: Tensor) -> Tensor:
        """Some samples; neighbours in one go."""
        found = np.empty((len(index), *self.extents[1:]), dtype=self.stored)
        size = prod(self.extents[1:]) * self.stored.itemsize
        rows = index.numpy()
        borders = np.flatnonzero(np.diff(rows) != 1) + 1
        with opened_array(self.path) as file:
            for start, stop in zip([0, *borders], [*borders, len(rows)], strict=True):
                if start == stop:
                    continue
                file.seek(self.offset + int(rows[start]) * size)
                content = file.read((stop - start) * size)
                if len(content) != (stop - start) * size:
                    raise DataError(f"{self.path}: ends before sample {int(rows[stop - 1])} does")
                found[start:stop] = np.frombuffer(content, self.stored).reshape(-1, *self.extents[1:])
        tensor = to_tensor(found, self.path)
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor.float()).all()):
            bad = ~torch.isfinite(tensor.float()).reshape(len(tensor), -1).all(dim=1)
            raise DataError(
                f"{self.path}: sample {int(rows[int(bad.nonzero()[0])])} (from 0) has values that are NaN, infinite or "
                "too large for float32"
            )
        return tensor
