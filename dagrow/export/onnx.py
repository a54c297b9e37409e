"""Export to ONNX: one ``.onnx`` file, for any batch size; inputs and outputs have the names of the spec."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from dagrow.data import PREPROCESSING
from dagrow.errors import ExportError
from dagrow.export.base import DESTINATION, Exporter, Runner
from dagrow.export.compare import TRACED_BATCH
from dagrow.export.layers import CLASSES
from dagrow.export.silence_exporters import torch_exporter
from dagrow.export.subject import ExportSubject
from dagrow.files import read_file

_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
_MARK = "dagrow"


class OnnxExporter(Exporter):
    """The traced network for ONNX runtimes. onnxruntime sums in another order, hence the wider tolerance."""

    name: ClassVar[str] = "onnx"
    tolerance: ClassVar[float] = 1e-5

    def require(self) -> None:
        """Checks for the packages of the extra ``onnx``."""
        for package in _PACKAGES:
            try:
                importlib.import_module(package)
            except ImportError as error:
                raise ExportError(
                    f"export to onnx needs '{package}', which needs the extra: pip install dagrow[onnx]"
                ) from error

    def contents(self, subject: ExportSubject) -> dict[str, bytes]:
        """Traces the network and checks the result by the rules of ONNX; names of classes are among its properties."""
        import onnx

        properties = {_MARK: subject.name}
        if subject.preprocessing is not None:
            properties[PREPROCESSING] = subject.preprocessing.to_json().decode("utf-8")
            properties[CLASSES] = json.dumps(subject.preprocessing.classes, ensure_ascii=False)
        with torch_exporter("write as onnx"):
            model = _traced(subject)
            onnx.helper.set_model_props(model, properties)
            onnx.checker.check_model(model, full_check=True)
            content: bytes = model.SerializeToString()
        return {DESTINATION: content}

    def load(self, path: Path) -> Runner:
        """Runs the file in onnxruntime, on one thread of the CPU."""
        import onnxruntime

        with torch_exporter("read back the onnx of"):
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            options.intra_op_num_threads = 1
            session = onnxruntime.InferenceSession(read_file(path), options, providers=["CPUExecutionProvider"])
        names = [entry.name for entry in session.get_inputs()]

        def run(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
            outputs = session.run(None, dict(zip(names, (x.numpy() for x in inputs), strict=True)))
            return tuple(map(torch.from_numpy, outputs))

        return run

    def wrote(self, path: Path) -> bool:
        """Looks for our mark among the properties of the model."""
        import onnx

        if not path.is_file():
            return False
        content = read_file(path)
        try:
            model = onnx.load_model_from_string(content)
        # Whatever keeps it from being read, it is not ours; protobuf's own error has no public home.
        except Exception:
            return False
        return any(entry.key == _MARK for entry in model.metadata_props)


def _traced(subject: ExportSubject) -> Any:
    """The ``onnx.ModelProto`` of a network."""
    from onnx_ir.passes.common import NameFixPass

    batch = torch.export.Dim("batch")
    inputs, spec = subject.example(TRACED_BATCH), subject.network.spec
    program = torch.onnx.export(
        subject.module(),
        inputs,
        input_names=list(spec.inputs),
        output_names=list(spec.outputs),
        dynamic_shapes=tuple({0: batch} for _ in inputs),
        dynamo=True,
        verbose=False,
    )
    if program is None:
        raise ExportError("torch returned no onnx program")
    # torch names inner values after their operators, whether or not an input or output has that name already.
    NameFixPass()(program.model)
    return program.model_proto
