"""Fits the arrays of a source to the inputs and outputs of a graph, or says why they do not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import torch
from torch import Tensor

from dagrow.data.chain import shape_after
from dagrow.data.preprocessing import Preprocessing
from dagrow.data.raw import Arrays
from dagrow.data.step import PreprocessingStep
from dagrow.data.stored import Stored, StoredRows, each_part
from dagrow.data.token_check import check_tokens
from dagrow.errors import DataError, listed
from dagrow.graph import Dag
from dagrow.layout import Shape, TensorLayout
from dagrow.objectives import Loss


def fit(
    arrays: Arrays, dag: Dag, loss: Loss, steps: Sequence[Sequence[PreprocessingStep]] = ()
) -> tuple[tuple[Stored, ...], tuple[Tensor, ...]]:
    """Inputs in the shapes of the graph (dtype as stored), targets ready for the loss.

    Args:
        arrays: as a source found them.
        dag: whose inputs and outputs they must fit.
        loss: prepares the targets.
        steps: per input, what brings its samples into the shape of the graph; these keep their own until then.

    Raises:
        DataError: on an empty set, different numbers of samples, values that are not finite, other shapes,
            targets that the loss cannot take.
    """
    _check_counts(x=arrays.inputs, y=arrays.targets)
    for what, tensors in (("inputs", arrays.inputs), ("targets", arrays.targets)):
        for tensor in tensors:
            _check_finite(tensor, what)
    if steps:
        _check_shapes_after(arrays.inputs, steps, dag)
        return arrays.inputs, _fit_targets(arrays.targets, dag, loss)
    return _fit_inputs(arrays.inputs, dag), _fit_targets(arrays.targets, dag, loss)


def fit_inputs(inputs: tuple[Stored, ...], preprocessing: Preprocessing, dag: Dag) -> tuple[Stored, ...]:
    """Raw values alone, dtype as given, in the shapes that the preprocessing takes; checked as `fit` does.

    Raises:
        DataError: as `fit`, or if there are neither as many as the graph has nor one for all.
    """
    # A layout says where the channels are; raw values of another shape have none.
    layouts = [spec.values for spec in dag.spec.inputs.values()]
    pairs = zip(preprocessing.inputs, layouts, strict=True)
    shapes = {each.name: layout if tuple(layout) == each.shape else each.shape for each, layout in pairs}
    if len(inputs) not in (1, len(shapes)):
        raise DataError(f"{len(inputs)} arrays were given; the network reads {listed(shapes)}")
    _check_counts(x=inputs)
    fitted = _shaped(inputs, shapes)
    for tensor, each in zip(fitted, preprocessing.inputs, strict=True):
        _check_finite(tensor, "inputs", gaps=each.takes_gaps)
    _check_vocabularies(fitted, dag)
    return fitted


def _check_shapes_after(inputs: Sequence[Stored], steps: Sequence[Sequence[PreprocessingStep]], dag: Dag) -> None:
    for x, chain, (name, spec) in zip(inputs, steps, dag.spec.inputs.items(), strict=True):
        if spec.vocabulary is not None:
            raise DataError(f"input '{name}' reads tokens as they are, and this source converts its values")
        found = list(shape_after(tuple(chain), tuple(x.shape[1:])))
        if found != list(spec.shape):
            raise DataError(
                f"a sample becomes values of shape {found}, input '{name}' has {list(spec.shape)}: "
                f"write '{name}: {{shape: {found}}}'"
            )


def _check_counts(**tensors: Sequence[Stored]) -> None:
    """Checks that there are samples, and as many of each."""
    counts = {name: sorted({len(tensor) for tensor in part}) for name, part in tensors.items()}
    first = next(iter(counts.values()))
    if any(found != first for found in counts.values()) or len(first) > 1:
        each = ", ".join(f"{' and '.join(map(str, found))} of {name}" for name, found in counts.items())
        raise DataError(f"different numbers of samples: {each}")
    if first == [0]:
        raise DataError("there are no samples")


def reshape_samples(x: Stored, shape: Shape, name: str) -> Stored:
    """Gives samples the shape of a graph input when it holds as many values.

    Raises:
        DataError: if the numbers differ, or if images have their channels last: such a reshape would fit
            and scramble every image.
    """
    found = tuple(x.shape[1:])
    if prod(found) != prod(shape):
        raise DataError(
            f"a sample has shape {list(found)} ({prod(found)} values), "
            f"input '{name}' needs {list(shape)} ({prod(shape)} values)"
        )
    if _is_channels_last(found, TensorLayout.of(shape)):
        raise DataError(
            f"a sample has shape {list(found)}, channels last; "
            f"input '{name}' needs {list(shape)}, channels first (transpose the array)"
        )
    return x.reshape(len(x), *shape)


def _is_channels_last(found: Shape, shape: TensorLayout) -> bool:
    """Whether samples have their channels last where an input has them first; of one channel that is the same."""
    first = shape.order == "channels_first" and shape.channels > 1
    return first and found != shape and found == (*shape.positions, shape.channels)


def _fit_inputs(inputs: tuple[Stored, ...], dag: Dag) -> tuple[Stored, ...]:
    shaped = _shaped(inputs, {name: spec.values.stored for name, spec in dag.spec.inputs.items()})
    _check_vocabularies(shaped, dag)
    return shaped


def _shaped(inputs: tuple[Stored, ...], shapes: Mapping[str, Shape]) -> tuple[Stored, ...]:
    if len(inputs) == 1 and len(shapes) > 1:
        if isinstance(inputs[0], StoredRows):
            raise DataError(f"one array for the inputs {listed(shapes)} is cut in memory only; give one for each")
        inputs = _cut(inputs[0], shapes)
    pairs = zip(inputs, shapes.items(), strict=True)
    return tuple(reshape_samples(x, shape, name) for x, (name, shape) in pairs)


def _check_vocabularies(inputs: Sequence[Stored], dag: Dag) -> None:
    for x, (name, spec) in zip(inputs, dag.spec.inputs.items(), strict=True):
        if spec.vocabulary is not None:
            check_tokens(x, name, spec.vocabulary, "its vocabulary")


def _cut(x: Tensor, shapes: Mapping[str, Shape]) -> tuple[Tensor, ...]:
    """Cuts the values of a sample into consecutive parts, in the order of the inputs."""
    sizes = [prod(shape) for shape in shapes.values()]
    values = x.reshape(len(x), prod(x.shape[1:]))
    if values.shape[1] != sum(sizes):
        needed = ", ".join(f"'{name}' {list(shape)}" for name, shape in shapes.items())
        raise DataError(
            f"a sample has shape {list(x.shape[1:])} ({values.shape[1]} values), "
            f"the inputs {needed} need {sum(sizes)} together"
        )
    return torch.split(values, sizes, dim=1)


def _fit_targets(targets: tuple[Tensor, ...], dag: Dag, loss: Loss) -> tuple[Tensor, ...]:
    names = dag.spec.outputs
    each = targets * len(names) if len(targets) == 1 else targets
    prepared = []
    for name, target in zip(names, each, strict=True):
        try:
            prepared.append(loss.prepare(target, dag.output(name)))
        except DataError as error:
            raise DataError(f"output '{name}': {error}") from error
    return tuple(prepared)


def _check_finite(tensor: Stored, what: str, *, gaps: bool = False) -> None:
    # What lies in a file is checked as it is read.
    if isinstance(tensor, StoredRows) or not tensor.is_floating_point():
        return
    count, first = 0, -1
    for rows, part in each_part(tensor):
        # As float32, which is what the network reads: 1e300 is finite only before.
        bad = torch.isinf(part.float()) if gaps else ~torch.isfinite(part.float())
        count += int(bad.sum())
        if count and first < 0:
            first = int(rows[0]) + int(bad.reshape(len(bad), -1).any(dim=1).nonzero()[0])
    if count:
        values = "1 value is" if count == 1 else f"{count} values are"
        raise DataError(
            f"{what}: {values} NaN, infinite or too large for float32, the first in sample {first} (from 0)"
        )
