"""Export to ``torch.export``: one ``.pt2`` file, for any batch size."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from dagrow.data import PREPROCESSING
from dagrow.export.base import DESTINATION, Exporter, Runner
from dagrow.export.compare import TRACED_BATCH, as_tuple
from dagrow.export.silence_exporters import torch_exporter
from dagrow.export.subject import ExportSubject
from dagrow.files import open_file, read_file

_MARK = "dagrow"


class Pt2Exporter(Exporter):
    """The traced network in torch's own file format; ``torch.export.load`` reads it."""

    name: ClassVar[str] = "pt2"

    def contents(self, subject: ExportSubject) -> dict[str, bytes]:
        """Traces the network with a free batch size; the file of the preprocessing lies in the archive."""
        batch = torch.export.Dim("batch")
        inputs, preprocessing = subject.example(TRACED_BATCH), subject.preprocessing
        extra = {_MARK: subject.name}
        if preprocessing is not None:
            extra[PREPROCESSING] = preprocessing.to_json().decode("utf-8")
        with torch_exporter("write as pt2"):
            shapes = tuple({0: batch} for _ in inputs)
            program = torch.export.export(subject.module(), inputs, dynamic_shapes=shapes)
            file = io.BytesIO()
            torch.export.save(program, file, extra_files=extra)
        return {DESTINATION: file.getvalue()}

    def load(self, path: Path) -> Runner:
        """Reads the file with ``torch.export.load``."""
        with torch_exporter("read back the pt2 of"):
            module = torch.export.load(io.BytesIO(read_file(path))).module()

        def run(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
            return as_tuple(module(*inputs))

        return run

    def wrote(self, path: Path) -> bool:
        """Looks for our mark in the archive."""
        if not path.is_file():
            return False
        try:
            with open_file(path) as file, zipfile.ZipFile(file) as archive:
                return any(entry.endswith(f"/extra/{_MARK}") for entry in archive.namelist())
        # Whatever keeps it from being read, it is not ours; NotImplementedError: of an archive of another kind.
        except (zipfile.BadZipFile, NotImplementedError, ValueError):
            return False
