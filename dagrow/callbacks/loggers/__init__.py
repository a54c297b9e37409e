"""The loggers of run files (``training.loggers``). Another one is a file with a class and a line in `LOGGERS`."""

from __future__ import annotations

from dagrow.callbacks.loggers.base import Logger
from dagrow.callbacks.loggers.csv_logger import CsvLogger
from dagrow.callbacks.loggers.mlflow_logger import MlflowLogger
from dagrow.callbacks.loggers.tensorboard_logger import TensorBoardLogger
from dagrow.callbacks.loggers.wandb_logger import WandbLogger
from dagrow.registry import Registry

LOGGERS: Registry[type[Logger]] = Registry(
    "logger", {"csv": CsvLogger, "tensorboard": TensorBoardLogger, "mlflow": MlflowLogger, "wandb": WandbLogger}
)

__all__ = ["LOGGERS", "Logger"]
