"""The one public function that takes a network or a run directory alike."""

from __future__ import annotations

from pathlib import Path

import torch

from dagrow.build import Network
from dagrow.errors import ExportError
from dagrow.export import Exported, export_network
from dagrow.graph import load_run
from dagrow.training import RunDirectory


def export(
    model_or_dir: torch.fx.GraphModule | str | Path, to: str = "python", out: str | Path | None = None
) -> Exported:
    """Writes a grown network as plain PyTorch source, ``torch.export`` or ONNX; it is read back and compared.

    Args:
        model_or_dir: a network from `build`, or a run directory.
        to: ``python``, ``pt2`` or ``onnx``.
        out: directory (python) or file (pt2, onnx) to write; for a run directory, left out, a name inside it.

    Returns:
        What was written, and the largest difference of outputs that was found.

    Raises:
        ExportError: if it cannot be written or does not come back equal.
        RunError: if the directory is not that of a run.
    """
    if isinstance(model_or_dir, Network):
        if out is None:
            raise ExportError("give 'out': where to write")
        return export_network(model_or_dir, to, out)
    if isinstance(model_or_dir, torch.nn.Module):
        raise ExportError("the model must come from dagrow.build: only such a module knows its graph")
    directory = RunDirectory.existing(model_or_dir)
    run_file = directory.path / "run.yaml"
    name = load_run(run_file).name if run_file.is_file() else "network"
    target = Path(out) if out is not None else directory.path / {"python": "exported"}.get(to, f"model.{to}")
    return export_network(directory.load(), to, target, name)
