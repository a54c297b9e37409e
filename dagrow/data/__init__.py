"""Where samples come from: a source, fitted to the graph and the loss, split, and handed out in batches."""

from dagrow.data.builtin import DATASETS
from dagrow.data.data_source import DataSource, ReadSettings, register_source
from dagrow.data.fingerprint import fingerprint
from dagrow.data.load import load_data
from dagrow.data.preprocessing import PREPROCESSING, STEPS, InputPreprocessing, Preprocessing
from dagrow.data.raw import Arrays, Raw
from dagrow.data.samples import Batch, Batches, ReplicaBatch, Samples, TrainTestSplit
from dagrow.data.scaling import Scale
from dagrow.data.sources import SOURCES

__all__ = [
    "DATASETS",
    "PREPROCESSING",
    "SOURCES",
    "STEPS",
    "Arrays",
    "Batch",
    "Batches",
    "DataSource",
    "InputPreprocessing",
    "Preprocessing",
    "Raw",
    "ReadSettings",
    "ReplicaBatch",
    "Samples",
    "Scale",
    "TrainTestSplit",
    "fingerprint",
    "load_data",
    "register_source",
]
