"""Tables of mixed columns that an estimator is fitted on: words, dates and gaps become features, as in a run file."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from dagrow.data import Preprocessing
from dagrow.data.frames import column_names
from dagrow.data.preprocessing import InputPreprocessing
from dagrow.data.tables import TableReader
from dagrow.data.tables.frame_samples import FrameInputs
from dagrow.errors import DataError
from dagrow.spec.column_options import ColumnOptions


@dataclass(frozen=True)
class MixedColumns:
    """What an estimator knows of the table that it was fitted on.

    Attributes:
        preprocessing: of the input, from raw values to features.
        reader: of further tables.
        names: of the columns.
    """

    preprocessing: InputPreprocessing
    reader: TableReader
    names: tuple[str, ...]

    @classmethod
    def fit(cls, frame: Any, rows: np.ndarray, *, standardize: bool) -> tuple[MixedColumns, np.ndarray]:
        """Fits the columns of a frame on some rows.

        Returns:
            What was found, and the raw values of all rows: ``[rows, columns]`` float64, NaN where a cell is empty.

        Raises:
            DataError: if nothing can be learned from it.
        """
        inputs = FrameInputs(frame, ColumnOptions(standardize=standardize), ("x",), rows)
        (stored,) = inputs.stored()
        (steps,) = inputs.fitted.steps
        own = InputPreprocessing("x", tuple(stored.shape[1:]), torch.float64, steps)
        return cls(own, inputs.reader, inputs.fitted.names), stored.read().numpy()

    def features(self, raw: np.ndarray) -> np.ndarray:
        """What the network reads of raw values, ``[rows, features]`` float32."""
        found: np.ndarray = self.preprocessing(torch.from_numpy(raw)).numpy()
        return found

    def raw(self, frame: Any) -> torch.Tensor:
        """Raw values of another frame with these columns.

        Raises:
            DataError: if it is none, or cells are of another kind.
        """
        if column_names(frame) is None:
            raise DataError("this estimator was fitted on a table with named columns: give such a table")
        rows = self.reader.read_frame(frame)
        for remark in rows.remarks:
            warnings.warn(remark, stacklevel=5)
        (raw,) = rows.inputs
        assert isinstance(raw, torch.Tensor)
        return raw

    def over(self, preprocessing: Preprocessing) -> Preprocessing:
        """That of a run on the features, as one of raw values."""
        return replace(preprocessing, inputs=(self.preprocessing,), columns=self.names, reader=self.reader)
