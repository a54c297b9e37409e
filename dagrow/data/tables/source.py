"""A table as a source of data: ``data: {table: ...}``."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from dagrow.data.answer import Answer
from dagrow.data.data_source import DataSource, ReadSettings
from dagrow.data.raw import Arrays, Raw
from dagrow.data.tables.fitted_columns import check_named, fit_columns
from dagrow.data.tables.formats import open_table
from dagrow.data.tables.look import Look, look
from dagrow.data.tables.partition import partition
from dagrow.data.tables.table_file import TableFile, TextOptions
from dagrow.data.tables.targets import Learned, by_output, target_tensor
from dagrow.errors import DataError
from dagrow.graph import Dag
from dagrow.objectives import Loss
from dagrow.spec.table_source import TableSpec


def read_table(told: TableSpec, dag: Dag, loss: Loss, settings: ReadSettings) -> Raw:
    """Reads a table: its kinds of columns, its split, and the steps to features.

    The file is gone through several times, a batch of rows at a time; the rows themselves are read where the
    samples are taken into memory, as features already.

    Raises:
        DataError: if columns are missing, or hold what nothing can be made of.
    """
    options = TextOptions(told.separator, told.encoding, told.decimal, told.missing)
    table = open_table(told.path, options)
    _check_names(told, table)
    seen = look(table, told, loss)
    outputs = by_output(seen.targets, told.target, dag.spec.outputs, loss)
    if told.test is None:
        other, test_seen = table, seen
        train_rows, test_rows = partition(seen, outputs, loss, settings.test_share, settings.seed)
    else:
        other = open_table(told.test, options)
        check_named([*told.target, *(column.name for column in seen.columns)], other)
        test_seen = _as_in_training(look(other, told, loss, scanned=False), seen)
        train_rows, test_rows = seen.usable, test_seen.usable
    fitted = fit_columns(table, seen.columns, seen.count, train_rows, told, tuple(dag.spec.inputs), seen.notes)
    answers = tuple(
        Answer(tuple(told.target[number] for number in part), seen.targets[part[0]].classes) for part in outputs
    )
    return Raw(
        Arrays(fitted.stored(table, train_rows, seen.count), _targets(seen, train_rows, outputs)),
        Arrays(fitted.stored(other, test_rows, test_seen.count), _targets(test_seen, test_rows, outputs)),
        classes=answers[0].classes if len(answers) == 1 else (),
        columns=fitted.names,
        target=told.target[0] if len(told.target) == 1 else "",
        steps=fitted.steps,
        reader=fitted.reader(table, options),
        answers=answers,
        notes=(*table.notes, *seen.notes, *fitted.notes),
    )


def _check_names(told: TableSpec, table: TableFile) -> None:
    """Checks that every column that the run file names is there."""
    split = () if told.split is None else tuple(name for name in (told.split.group, told.split.time) if name)
    check_named([*told.target, *split, *told.named], table)
    inputs = [name for names in told.inputs.values() for name in names]
    for name in told.target:
        if told.target.count(name) > 1:
            raise DataError(f"'{name}' is to be learned twice")
        if name in inputs:
            raise DataError(f"'{name}' is to be learned, so no input can read it")


def _as_in_training(test: Look, train: Look) -> Look:
    """The rows of a second table with the labels of the first."""
    targets = []
    for number, (own, known) in enumerate(zip(test.targets, train.targets, strict=True)):
        if own.classes and known.classes:
            places = {name: place for place, name in enumerate(known.classes)}
            if unknown := [name for name in own.classes if name not in places]:
                raise DataError(f"the test table has the label {unknown[0]!r:.60}, which training does not have")
            codes = np.array([*(places[name] for name in own.classes), -1])
            own = Learned(codes[own.values], known.classes)
        elif bool(own.classes) != bool(known.classes):
            raise DataError(f"target {number + 1} of the test table is of another kind than that of training")
        targets.append(own)
    return test.with_targets(targets)


def _targets(seen: Look, rows: np.ndarray, outputs: list[list[int]]) -> tuple[Tensor, ...]:
    return tuple(target_tensor([seen.targets[number] for number in part], rows) for part in outputs)


class Table(TableSpec, DataSource):
    """A table with named columns of numbers, words, yes and no, or dates, perhaps with gaps."""

    @property
    def title(self) -> str:
        """How messages call it."""
        return self.path

    def read(self, dag: Dag, loss: Loss, settings: ReadSettings) -> Raw:
        """See `read_table`."""
        return read_table(self, dag, loss, settings)
