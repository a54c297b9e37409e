"""A table as a source of data: ``data: {table: ...}``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dagrow.data.answer import Answer
from dagrow.data.data_source import DataSource, ReadSettings
from dagrow.data.raw import Arrays, Raw
from dagrow.data.stored import StoredRows
from dagrow.data.tables.column import Column, Encoding, Limits, Unusable
from dagrow.data.tables.encoder import Encoded, encoded
from dagrow.data.tables.formats import open_table
from dagrow.data.tables.look import Look, look
from dagrow.data.tables.partition import partition
from dagrow.data.tables.table_file import TableFile, TextOptions
from dagrow.data.tables.table_reader import TableReader
from dagrow.data.tables.table_rows import TableRows
from dagrow.data.tables.targets import Learned, by_output, target_tensor
from dagrow.errors import DataError, did_you_mean, listed
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
        _check_there([*told.target, *(column.name for column in seen.columns)], other)
        test_seen = _as_in_training(look(other, told, loss, scanned=False), seen)
        train_rows, test_rows = seen.usable, test_seen.usable
    fitted, left_out = _fitted(table, seen, train_rows, told)
    inputs = _by_input(fitted, told, dag)
    read = [column.name for part in inputs for column in part.columns]
    gaps = tuple(column.name for column, encoding in fitted if encoding.gaps)
    unread = tuple(name for name in table.names if name not in read)
    answers = tuple(
        Answer(tuple(told.target[number] for number in part), seen.targets[part[0]].classes) for part in outputs
    )
    return Raw(
        _arrays(table, inputs, seen, train_rows, outputs),
        _arrays(other, inputs, test_seen, test_rows, outputs),
        classes=answers[0].classes if len(answers) == 1 else (),
        columns=tuple(read),
        target=told.target[0] if len(told.target) == 1 else "",
        steps=tuple(part.steps for part in inputs),
        reader=TableReader(tuple(part.columns for part in inputs), unread, options, gaps),
        answers=answers,
        notes=(*table.notes, *seen.notes, *left_out, *_described(inputs, dag)),
    )


def _check_names(told: TableSpec, table: TableFile) -> None:
    """Checks that every column that the run file names is there."""
    split = () if told.split is None else tuple(name for name in (told.split.group, told.split.time) if name)
    inputs = [name for names in told.inputs.values() for name in names]
    _check_there([*told.target, *split, *told.types, *told.date_formats, *told.keep, *told.drop, *inputs], table)
    for name in told.target:
        if told.target.count(name) > 1:
            raise DataError(f"'{name}' is to be learned twice")
        if name in inputs:
            raise DataError(f"'{name}' is to be learned, so no input can read it")


def _check_there(names: Sequence[str], table: TableFile) -> None:
    for name in names:
        if name not in table.names:
            raise DataError(f"no column '{name}'{did_you_mean(name, table.names)}; columns: {listed(table.names)}")


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


def _fitted(
    table: TableFile, seen: Look, rows: np.ndarray, told: TableSpec
) -> tuple[list[tuple[Column, Encoding]], list[str]]:
    """The columns with what they become, from a pass over the training rows; and why others are left out."""
    tallies = [(column, column.tally()) for column in seen.columns]
    mine = np.zeros(seen.count, dtype=bool)
    mine[rows] = True
    start = 0
    for batch in table.batches({column.name for column in seen.columns}):
        size = len(next(iter(batch.values()), ()))
        for column, tally in tallies:
            tally.add(batch[column.name], mine[start : start + size], start + 1)
        start += size
    found, notes = [], []
    for column, tally in tallies:
        try:
            found.append(tally.fitted(Limits(told.max_categories, told.min_count)))
        except Unusable as reason:
            notes.append(f"column '{column.name}' is left out: {reason}")
    if not found:
        raise DataError("no column is left to learn from" + "".join(f"; {note}" for note in (*seen.notes, *notes)))
    return found, notes


def _by_input(fitted: list[tuple[Column, Encoding]], told: TableSpec, dag: Dag) -> list[Encoded]:
    """The columns of each input of the graph, with their steps."""
    names = tuple(dag.spec.inputs)
    if not told.inputs:
        if len(names) > 1:
            raise DataError(f"the graph has several inputs: say in 'inputs' which columns {listed(names)} read")
        return [encoded(fitted, standardize=told.standardize)]
    if set(told.inputs) != set(names):
        raise DataError(f"'inputs' names {listed(told.inputs)}; the graph reads {listed(names)}")
    by_name = {column.name: (column, encoding) for column, encoding in fitted}
    found = []
    for name in names:
        if missing := [column for column in told.inputs[name] if column not in by_name]:
            raise DataError(f"input '{name}' reads column '{missing[0]}', from which nothing can be learned")
        found.append(encoded([by_name[column] for column in told.inputs[name]], standardize=told.standardize))
    return found


def _arrays(table: TableFile, inputs: list[Encoded], seen: Look, rows: np.ndarray, outputs: list[list[int]]) -> Arrays:
    stores = (TableRows(table, part.columns, rows, seen.count) for part in inputs)
    targets = (target_tensor([seen.targets[number] for number in part], rows) for part in outputs)
    return Arrays(tuple(map(StoredRows, stores)), tuple(targets))


def _described(inputs: list[Encoded], dag: Dag) -> list[str]:
    """Sentences on the kinds of the columns, and the features that they become."""
    found = []
    for name, part in zip(dag.spec.inputs, inputs, strict=True):
        kinds: dict[str, list[str]] = {}
        for column in part.columns:
            kinds.setdefault(column.kind, []).append(column.name)
        told = "; ".join(f"{kind}: {listed(names)}" for kind, names in kinds.items())
        found.append(f"input '{name}' reads {len(part.columns)} columns as {len(part.features)} features ({told})")
    return found


class Table(TableSpec, DataSource):
    """A table with named columns of numbers, words, yes and no, or dates, perhaps with gaps."""

    @property
    def title(self) -> str:
        """How messages call it."""
        return self.path

    def read(self, dag: Dag, loss: Loss, settings: ReadSettings) -> Raw:
        """See `read_table`."""
        return read_table(self, dag, loss, settings)
