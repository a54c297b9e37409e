"""Tables in text files: separator, encoding and decimal mark are found out where nobody says them."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from dagrow.data.tables.arrow import arrow
from dagrow.data.tables.table_file import Cells, TableFile, TextOptions, opened
from dagrow.errors import DataError

_SEPARATORS = (",", ";", "\t", "|")
_BLOCK = 2**21
_HEAD = 2**18
_COMMA, _POINT = re.compile(r"[+-]?\d+,\d+"), re.compile(r"[+-]?\d+\.\d+")
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True)
class TextTable(TableFile):
    """A table in a text file.

    Attributes:
        path: of the file.
        header: names of the columns as they are written.
        names: without spaces around them.
        separator: between cells.
        encoding: of the text.
        decimal: mark in numbers.
        missing: cells that stand for nothing.
        notes: what was found out.
    """

    path: str
    header: tuple[str, ...]
    names: tuple[str, ...]
    separator: str
    encoding: str
    decimal: str
    missing: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def opened(cls, path: str, options: TextOptions) -> TextTable:
        """The table in a file.

        Raises:
            DataError: if it has no header, or is no text.
        """
        notes = []
        encoding = options.encoding or _encoding(path)
        _check_encoding(encoding)
        if options.encoding is None and encoding == "cp1252":
            notes.append("the text is not UTF-8: it is read as cp1252 (say 'encoding' if it is another)")
        head = _head(path, encoding)
        separator = options.separator or _separator(head)
        if options.separator is None and separator != ",":
            notes.append(f"cells are separated by {_named(separator)}")
        rows = list(csv.reader(io.StringIO(head), delimiter=separator))
        header = next((row for row in rows if row), [])
        if not header:
            raise DataError("the file is empty; a table with a header line is needed")
        decimal = options.decimal or _decimal(rows[1:], separator)
        if options.decimal is None and decimal == ",":
            notes.append("numbers have a decimal comma")
        names = tuple(name.strip() for name in header)
        return cls(path, tuple(header), names, separator, encoding, decimal, options.missing, tuple(notes))

    def batches(self, columns: Collection[str]) -> Iterator[Cells]:
        """The rows, every cell as text; missing ones are nothing."""
        pa, reader = arrow(), arrow("csv")
        names = dict(zip(self.header, self.names, strict=True))
        with opened(self.path) as file:
            stream = reader.open_csv(
                file,
                reader.ReadOptions(
                    use_threads=False,
                    block_size=_BLOCK,
                    encoding="utf8" if self.encoding.startswith("utf-8") else self.encoding,
                ),
                reader.ParseOptions(delimiter=self.separator, newlines_in_values=True),
                reader.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    include_columns=[key for key, name in names.items() if name in columns],
                    strings_can_be_null=False,
                ),
            )
            for batch in stream:
                if batch.num_rows:
                    found = zip(batch.schema.names, batch.columns, strict=True)
                    yield {names[key]: self._clean(cells) for key, cells in found}

    def _clean(self, cells: Any) -> Any:
        """Without spaces around them; what stands for nothing is nothing, and numbers have a decimal point."""
        pa, compute = arrow(), arrow("compute")
        cells = compute.utf8_trim_whitespace(cells)
        if self.decimal == ",":
            cells = compute.replace_substring_regex(cells, pattern=r"^([+-]?\d+),(\d+)$", replacement=r"\1.\2")
        nothing = compute.is_in(cells, value_set=pa.array(self.missing, pa.string()))
        return compute.if_else(nothing, pa.scalar(None, pa.string()), cells)


def _encoding(path: str) -> str:
    """UTF-8 if the whole file is, UTF-16 if it begins so, else that of Windows."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with opened(path) as file:
        start = file.read(4)
        for mark, name in _MARKS:
            if start.startswith(mark):
                return name
        file.seek(0)
        try:
            while block := file.read(_BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8"


def _check_encoding(name: str) -> None:
    try:
        codecs.lookup(name)
    except LookupError as error:
        raise DataError(f"unknown encoding '{name}'; utf-8, cp1252, latin-1 and utf-16 are the usual ones") from error


def _head(path: str, encoding: str) -> str:
    """The first lines, whole, blank ones before them left out."""
    decoder = codecs.getincrementaldecoder(encoding)()
    with opened(path) as file:
        block = file.read(_HEAD)
        text = decoder.decode(block, final=len(block) < _HEAD).lstrip("\r\n")
    if len(block) == _HEAD:
        text = text[: text.rfind("\n") + 1] or text
    return text


def _separator(head: str) -> str:
    """Of the usual ones, that which cuts the first lines into the most cells, all into as many."""
    best, most = ",", 1
    for separator in _SEPARATORS:
        rows = islice(csv.reader(io.StringIO(head), delimiter=separator), 50)
        counts = {len(row) for row in rows if row}
        if len(counts) == 1 and (count := counts.pop()) > most:
            best, most = separator, count
    return best


def _decimal(rows: list[list[str]], separator: str) -> str:
    if separator == ",":
        return "."
    cells = [cell.strip() for row in rows[:1000] for cell in row]
    comma, point = (any(pattern.fullmatch(cell) for cell in cells) for pattern in (_COMMA, _POINT))
    return "," if comma and not point else "."


def _named(separator: str) -> str:
    return {";": "semicolons", "\t": "tabs", "|": "bars"}.get(separator, repr(separator))
