"""Export to plain PyTorch: ``model.py``, which needs nothing but torch, and ``weights.safetensors``."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from dagrow.data import PREPROCESSING
from dagrow.errors import ExportError
from dagrow.export.base import Exporter, Runner
from dagrow.export.compare import as_tuple
from dagrow.export.layers import check_expressions, exported_keys, names_of
from dagrow.export.python_source import MARK, model_source
from dagrow.export.subject import ExportSubject, step_buffers
from dagrow.files import open_file, read_file

MODEL = "model.py"
WEIGHTS = "weights.safetensors"


class PythonExporter(Exporter):
    """A directory with the source of the network and its weights."""

    name: ClassVar[str] = "python"
    directory: ClassVar[bool] = True
    optional: ClassVar[frozenset[str]] = frozenset({PREPROCESSING})

    def contents(self, subject: ExportSubject) -> dict[str, bytes]:
        """The source, and the weights under the names that the source uses; with preprocessing its file too."""
        dag = subject.network.dag
        names = names_of(dag, subject.preprocessing)
        source = model_source(dag, subject.name, subject.preprocessing)
        check_expressions(names.layers)
        state = subject.network.state_dict()
        keys = exported_keys(dag, state)
        weights = {keys[key]: value.detach().contiguous() for key, value in state.items()}
        # A copy: safetensors refuses tensors that share memory.
        fitted = step_buffers(subject.preprocessing)
        weights |= {names.buffers[key]: value.clone(memory_format=torch.contiguous_format) for key, value in fitted}
        files = {MODEL: source.encode(), WEIGHTS: save(weights, metadata={"format": "pt"})}
        return files if subject.preprocessing is None else {**files, PREPROCESSING: subject.preprocessing.to_json()}

    def load(self, path: Path) -> Runner:
        """Runs ``model.py``, makes its class without arguments and loads the weights, all of them."""
        with torch.device("cpu"):
            model = _only_model(_execute(path / MODEL))()
        try:
            # Assigned, so that each keeps its number format whatever torch's default is.
            model.load_state_dict(load(read_file(path / WEIGHTS)), strict=True, assign=True)
        except RuntimeError as error:
            raise ExportError(
                f"the weights do not fit {MODEL}: an export_line makes another layer than its op: {error}"
            ) from error
        model.eval()

        def run(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
            return as_tuple(model(*inputs))

        return run

    def wrote(self, path: Path) -> bool:
        """Looks for our mark in the first line of ``model.py``."""
        model = path / MODEL
        if not model.is_file():
            return False
        with open_file(model) as file:
            return MARK.encode() in file.readline(1000)


def _execute(path: Path) -> ModuleType:
    """Runs a Python file as a module of its own, unknown to ``sys.modules``."""
    loader = SourceFileLoader(f"dagrow_export_{path.parent.name}", str(path))
    spec = spec_from_file_location(loader.name, path, loader=loader)
    if spec is None:
        raise ExportError(f"{path} cannot be loaded as Python")
    module = module_from_spec(spec)
    # Not loader.exec_module: it would leave a __pycache__ in the export, or take an outdated one.
    exec(loader.source_to_code(loader.get_data(str(path)), str(path)), module.__dict__)
    return module


def _only_model(module: ModuleType) -> type[nn.Module]:
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, nn.Module) and value.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise ExportError(f"{MODEL} defines {len(found)} networks instead of one")
    return found[0]
