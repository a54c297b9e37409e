"""The table of exporters, and the pipeline that all share: copy, write, reload, verify, publish."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import torch

from dagrow.build import Network, drop_additions
from dagrow.data import Preprocessing
from dagrow.errors import ExportError
from dagrow.export.base import Exported, Exporter
from dagrow.export.compare import largest_difference
from dagrow.export.onnx import OnnxExporter
from dagrow.export.pt2 import Pt2Exporter
from dagrow.export.python import PythonExporter
from dagrow.export.staging import check_destination, disk_errors, put_in_place, staged
from dagrow.export.subject import ExportSubject
from dagrow.randomness import torch_random_numbers_kept
from dagrow.registry import Registry

EXPORTERS: Registry[Exporter] = Registry(
    "export",
    {exporter.name: exporter for exporter in (PythonExporter(), Pt2Exporter(), OnnxExporter())},
    error=ExportError,
)


def export_network(
    network: Network,
    to: str,
    out: str | Path,
    name: str = "network",
    preprocessing: Preprocessing | None = None,
) -> Exported:
    """Writes a network in another form, after reading it back and finding it equal.

    The network itself is not touched: a copy on the CPU, in float32 and eval mode, is exported.

    Args:
        network: what to export.
        to: a key of `EXPORTERS`.
        out: the directory (python) or file (pt2, onnx) to write; its parents are created.
        name: of the run; the exported class is named after it.
        preprocessing: what was done to the network's inputs in training: the export does it too, so that raw values
            go in. Left out, the export reads what the network reads.

    Returns:
        Where it is, and how far its outputs were from the network's.

    Raises:
        ExportError: if the network cannot take this form, does not come back equal, or ``out`` cannot be
            written or is something else than an earlier export of this kind. Nothing is left there then.
    """
    exporter = EXPORTERS.find(to)
    exporter.require()
    given, target = Path(out), Path(os.path.realpath(out))
    with disk_errors(given), torch_random_numbers_kept():
        check_destination(exporter, target)
        subject = ExportSubject(_plain_copy(network), name, preprocessing)
        contents = exporter.contents(subject.copy())
        with staged(contents, target) as path:
            difference = largest_difference(subject, exporter.load(path), exporter.tolerance)
            put_in_place(path, target, exporter.optional)
    files = tuple(given / file if file else given for file in contents)
    return Exported(given, files, difference)


def _plain_copy(network: Network) -> Network:
    """What the graph declares; a person's additions are not run, and do not travel."""
    plain = copy.deepcopy(network)
    drop_additions(plain)
    return plain.to("cpu", torch.float32).eval()
