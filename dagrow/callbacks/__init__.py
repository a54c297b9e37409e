"""What a run tells code of the user while it goes on: callbacks, and the loggers among them."""

from dagrow.callbacks.callback import Callback, RunHandle
from dagrow.callbacks.callback_list import CallbackList, checked_callbacks
from dagrow.callbacks.events import (
    EpochEnd,
    FinalTraining,
    Growth,
    Insertion,
    Removal,
    RunBegin,
    RunEnd,
    TakenBack,
)
from dagrow.callbacks.loggers import LOGGERS, Logger

__all__ = [
    "LOGGERS",
    "Callback",
    "CallbackList",
    "EpochEnd",
    "FinalTraining",
    "Growth",
    "Insertion",
    "Logger",
    "Removal",
    "RunBegin",
    "RunEnd",
    "RunHandle",
    "TakenBack",
    "checked_callbacks",
]
