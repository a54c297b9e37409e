"""Where samples come from: a source, fitted to the graph and the loss, split, and handed out in batches."""

from dagrow.data.builtin import DATASETS
from dagrow.data.fingerprint import fingerprint
from dagrow.data.load import load_data
from dagrow.data.samples import Batch, Batches, Portion, Samples, Split, Transform
from dagrow.data.sources import SOURCES

__all__ = [
    "DATASETS",
    "SOURCES",
    "Batch",
    "Batches",
    "Portion",
    "Samples",
    "Split",
    "Transform",
    "fingerprint",
    "load_data",
]
