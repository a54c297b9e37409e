"""A grown network that reads raw values and gives answers: from a run that has just ended, or from its directory."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from dagrow.build import Network
from dagrow.data import PREPROCESSING, Preprocessing
from dagrow.data.answer import Answer
from dagrow.data.fit import fit_inputs
from dagrow.data.frames import column_names
from dagrow.data.raw import to_tensor
from dagrow.data.rows import read_frame, read_rows
from dagrow.data.stored import Stored, in_memory
from dagrow.errors import DataError, RunError
from dagrow.runs.directory import RunDirectory
from dagrow.runs.prediction import Prediction
from dagrow.training.sample_sizes import batch_that_fits

_BATCH = 1_024


class FilePredictions(NamedTuple):
    """The answers to a file.

    Attributes:
        predictions: one per output.
        unknown: names of columns of the file that training did not know.
        names: of the samples, where the file has any.
        notes: sentences on how the file was read.
    """

    predictions: tuple[Prediction, ...]
    unknown: tuple[str, ...]
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A grown network with what is done to its inputs.

    Attributes:
        network: it reads what `preprocessing` makes of raw values.
        preprocessing: what is done to inputs, and what outputs mean.
    """

    network: Network
    preprocessing: Preprocessing

    def predict(self, *inputs: Any) -> Prediction:
        """What the network says of samples.

        Args:
            inputs: raw values ``[samples, ...]`` of each input, as they are in the training data: tensors, arrays or
                lists; for several inputs also one with all their values in a row, in the order of
                `Preprocessing.columns`. Or one table of pandas, polars or pyarrow, or a mapping of lists, whose
                columns are found by their names: categories are words there, and gaps are empty.

        What was read in another way than training had it (a category that it never saw, a column that it did not know)
        is told by a ``UserWarning`` each.

        Raises:
            DataError: if they do not fit, or the network has several outputs: see `predict_outputs`.
        """
        found = self.predict_outputs(*inputs)
        if len(found) != 1:
            names = ", ".join(prediction.name for prediction in found)
            raise DataError(f"the network has several outputs ({names}): use predict_outputs")
        return found[0]

    def predict_outputs(self, *inputs: Any) -> tuple[Prediction, ...]:
        """As `predict`, for any number of outputs."""
        if len(inputs) == 1 and column_names(inputs[0]) is not None:
            rows = read_frame(inputs[0], self.preprocessing, self.network.dag)
            for note in rows.remarks:
                warnings.warn(note, stacklevel=3)
            return self._predicted(rows.inputs)
        tensors = tuple(_tensor(x, f"input {number}") for number, x in enumerate(inputs, start=1))
        return self._predicted(fit_inputs(tensors, self.preprocessing, self.network.dag))

    def predict_file(self, path: str | Path) -> FilePredictions:
        """What the network says of the samples in a file, of the kind that training had or with arrays.

        Raises:
            DataError: if they do not fit.
        """
        rows = read_rows(path, self.preprocessing, self.network.dag)
        return FilePredictions(self._predicted(rows.inputs), rows.unknown, rows.names, rows.notes)

    @torch.no_grad()
    def _predicted(self, raw: tuple[Stored, ...]) -> tuple[Prediction, ...]:
        names, first = self.network.spec.outputs, next(self.network.parameters())
        training = self.network.training
        self.network.eval()
        size, parts = min(_BATCH, batch_that_fits(self.network.dag)), []
        for start in range(0, len(raw[0]), size):
            read = self.preprocessing(*(in_memory(x[start : start + size]) for x in raw))
            found = self.network(*(x.to(first.device, first.dtype) for x in read))
            parts.append((found,) if isinstance(found, Tensor) else found)
        self.network.train(training)
        outputs = [torch.cat(part) for part in zip(*parts, strict=True)]
        own = self.preprocessing.target
        called = (own,) if own and len(names) == 1 else names
        answers = self.preprocessing.answers or (Answer(classes=self.preprocessing.classes),) * len(names)
        return tuple(
            Prediction.of(called_so, output, self.preprocessing, answer, self.network.dag.output(name).batch_axis)
            for called_so, name, output, answer in zip(called, names, outputs, answers, strict=True)
        )


def load_model(directory: str | Path, device: torch.device | str = "cpu") -> TrainedModel:
    """The grown network of a run directory, with what is done to its inputs.

    Args:
        directory: that `grow` has made.
        device: where it shall be.

    Raises:
        RunError: if it is none, files of it are damaged, or it is of a version that did not keep its preprocessing.
    """
    found = RunDirectory.existing(directory)
    network = found.load().to(device).eval()
    return trained_model(network, found.load_preprocessing(network.dag), str(directory))


def trained_model(network: Network, preprocessing: Preprocessing | None, name: str) -> TrainedModel:
    """A network with its preprocessing.

    Raises:
        RunError: if it has none; ``name`` is what the run is called in it.
    """
    if preprocessing is None:
        raise RunError(
            f"{name} has no {PREPROCESSING}: an earlier version made it and did not keep what it did to inputs; "
            "grow it again"
        )
    return TrainedModel(network, preprocessing)


def _tensor(x: Any, name: str) -> Tensor:
    if isinstance(x, Tensor):
        x = x.detach().cpu()
        x = x.float() if x.dtype == torch.bfloat16 else x  # numpy has none
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise DataError(f"{name} is no array: its rows are not equally long") from error
    return to_tensor(array, name)
