"""Everything that is done to inputs before the network reads them, and what its outputs mean: it travels with a run.

A step of another kind is a class like `dagrow.data.scaling.Scale` and a line in `STEPS`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from dagrow.data.answer import Answer
from dagrow.data.chain import shape_after
from dagrow.data.cycles import Cycles
from dagrow.data.file_reader import FileReader
from dagrow.data.images.image_reader import ImageReader
from dagrow.data.missing import Missing
from dagrow.data.one_hot import OneHot
from dagrow.data.scaling import Scale
from dagrow.data.step import PreprocessingStep
from dagrow.data.tables.table_reader import TableReader
from dagrow.data.token_features import TokenFeatures
from dagrow.errors import DataError
from dagrow.files import sha256
from dagrow.graph import Dag
from dagrow.layout import Shape
from dagrow.objectives import LOSSES, Loss
from dagrow.registry import Registry

PREPROCESSING = "preprocessing.json"
"""The name of the file, in a run directory and in its export."""

STEPS: Registry[type[PreprocessingStep]] = Registry(
    "kind of step", {step.kind: step for step in (Scale, Missing, Cycles, OneHot, TokenFeatures)}, error=DataError
)

FILE_READERS: Registry[type[FileReader]] = Registry(
    "reader of files", {reader.kind: reader for reader in (TableReader, ImageReader)}, error=DataError
)

_VERSION = 1
_SUM = "sha256"
"""The key of a checksum over all other entries; without it, as a person may leave it, the file is read as it is."""
_DTYPES = {"uint8": torch.uint8, "float32": torch.float32, "float64": torch.float64, "int64": torch.int64}


@dataclass(frozen=True, eq=False)
class InputPreprocessing:
    """What is done to one input.

    Attributes:
        name: of the input of the graph.
        shape: of one raw sample.
        dtype: number format of raw values in which nothing is lost; others are taken too.
        steps: one after the other; none where the values are read as they are.
    """

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype = torch.float32
    steps: tuple[PreprocessingStep, ...] = ()

    def __call__(self, x: Tensor) -> Tensor:
        """Raw values ``[samples, *shape]`` as float32 values that the network reads, on the same device; or tokens."""
        for step in self.steps:
            x = step.to(x.device)(x)
        return x if self.as_they_are else x.float()

    @property
    def as_they_are(self) -> bool:
        """Whether the network reads whole numbers: tokens of a vocabulary."""
        return self.dtype == torch.int64 and not self.steps

    @property
    def read_shape(self) -> Shape:
        """Of one sample as the network reads it."""
        return shape_after(self.steps, self.shape)

    @property
    def takes_gaps(self) -> bool:
        """Whether NaN among the raw values stands for a missing one."""
        return any(isinstance(step, Missing) for step in self.steps)

    def raw(self, x: Tensor) -> Tensor:
        """Raw values that become about ``x``, in the number format of raw values."""
        for step in reversed(self.steps):
            x = step.invert(x)
        return x.round().clamp(0, 255).to(self.dtype) if self.dtype == torch.uint8 else x.to(self.dtype)

    def entry(self) -> dict[str, Any]:
        """As JSON takes it."""
        steps = [{"kind": step.kind, **step.entry()} for step in self.steps]
        dtype = str(self.dtype).removeprefix("torch.")
        return {"name": self.name, "shape": list(self.shape), "dtype": dtype, "steps": steps}

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any]) -> InputPreprocessing:
        """From what `entry` gave; raises what `PreprocessingStep.from_entry` does."""
        shape = tuple(map(int, entry["shape"]))
        steps: tuple[PreprocessingStep, ...] = ()
        for step in entry["steps"]:
            before = shape_after(steps, shape)
            steps += (STEPS.find(str(step["kind"])).from_entry(step, before),)
        return cls(str(entry["name"]), shape, _DTYPES[entry["dtype"]], steps)


@dataclass(frozen=True, eq=False)
class Preprocessing:
    """What lies between the values of a user and those of a network.

    Attributes:
        inputs: one per input of the graph.
        loss: that the network was trained on, which says what its outputs mean.
        columns: of a table, in the order of the features of all inputs; empty where the source had no names.
        target: the column that was learned; empty where the source had no names.
        classes: names of the labels 0, 1, ...; empty where the labels are numbers, or there are none.
        answers: the meaning of each output; empty where `target` and `classes` say all.
        reader: of files that the network is asked about; None where these are arrays, or plain tables of numbers.
    """

    inputs: tuple[InputPreprocessing, ...]
    loss: str
    columns: tuple[str, ...] = ()
    target: str = ""
    classes: tuple[str, ...] = ()
    answers: tuple[Answer, ...] = ()
    reader: FileReader | None = None

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Raw values as float32 values that the network reads."""
        return tuple(each(x) for each, x in zip(self.inputs, inputs, strict=True))

    def raw(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Raw values that become about these, in the number formats of raw values."""
        return tuple(each.raw(x) for each, x in zip(self.inputs, inputs, strict=True))

    @property
    def objective(self) -> Loss:
        """The loss itself."""
        return LOSSES[self.loss]

    def to_json(self) -> bytes:
        """The content of `PREPROCESSING`."""
        entry = {
            "version": _VERSION,
            "inputs": [each.entry() for each in self.inputs],
            "columns": self.columns,
            "target": self.target,
            "classes": self.classes,
            "answers": [{"columns": each.columns, "classes": each.classes} for each in self.answers],
            "reader": None if self.reader is None else {"kind": self.reader.kind, **self.reader.entry()},
            "loss": self.loss,
        }
        entry[_SUM] = _digest(entry)
        return (json.dumps(entry, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")

    @classmethod
    def from_json(cls, content: bytes, dag: Dag) -> Preprocessing:
        """From what `to_json` gave.

        Args:
            content: of the file.
            dag: whose inputs it must fit.

        Raises:
            DataError: if it is not of that form, or belongs to another graph.
        """
        try:
            entry = json.loads(content)
            if entry.pop(_SUM, digest := _digest(entry)) != digest:
                raise DataError("damaged: its checksum does not fit")
            if entry["version"] != _VERSION:
                raise DataError(f"version {entry['version']!r:.20} of the format; this dagrow reads {_VERSION}")
            inputs = tuple(map(InputPreprocessing.from_entry, entry["inputs"]))
            found = cls(
                inputs,
                LOSSES.find(str(entry["loss"])).name,
                _words(entry["columns"]),
                _words([entry["target"]])[0],
                _words(entry["classes"]),
                # These were not written yet by the first versions.
                tuple(Answer(_words(each["columns"]), _words(each["classes"])) for each in entry.get("answers", ())),
                _reader(entry.get("reader"), inputs),
            )
        # What `json` and `torch.tensor` raise on something else than was written.
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError, OverflowError, RecursionError) as error:
            raise DataError(f"damaged: it does not describe a preprocessing ({error!r:.200})") from error
        found._check_fits(dag)
        return found

    def _check_fits(self, dag: Dag) -> None:
        wanted = {name: tuple(spec.shape) for name, spec in dag.spec.inputs.items()}
        # In the same order: that of the network's arguments.
        if [(each.name, each.read_shape) for each in self.inputs] != list(wanted.items()):
            raise DataError(f"it belongs to another graph: its inputs are {[each.name for each in self.inputs]}")
        features = sum(prod(each.shape) for each in self.inputs)
        if self.columns and len(self.columns) != features:
            raise DataError(f"damaged: it names {len(self.columns)} columns, the graph reads {features} values")
        if self.answers and len(self.answers) != len(dag.spec.outputs):
            raise DataError(f"damaged: it explains {len(self.answers)} outputs, the graph has {len(dag.spec.outputs)}")


def _reader(entry: Mapping[str, Any] | None, inputs: Sequence[InputPreprocessing]) -> FileReader | None:
    if entry is None:
        return None
    kind = FILE_READERS.find(str(entry["kind"]))
    return kind.from_entry(entry, tuple(each.shape for each in inputs))


def _digest(entry: Mapping[str, Any]) -> str:
    others = {key: value for key, value in entry.items() if key != _SUM}
    return sha256(json.dumps(others, sort_keys=True).encode("ascii"))


def _words(values: Sequence[Any]) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError("a list of names is needed")
    for value in values:
        value.encode("utf-8")  # or a ValueError: JSON can hold halves of characters
    return tuple(values)
