"""Ways out: plain PyTorch source, ``torch.export`` and ONNX, each read back and compared."""

from dagrow.export.base import Exported, Exporter
from dagrow.export.layers import exported_keys
from dagrow.export.python_source import model_source
from dagrow.export.registry import EXPORTERS, export_network

__all__ = ["EXPORTERS", "Exported", "Exporter", "export_network", "exported_keys", "model_source"]
