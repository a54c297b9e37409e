"""The state of a run on disk: safetensors and JSON, each checkpoint whole or not there."""

from dagrow.runs.checkpoint.content import (
    Checkpoint,
    capture,
    changed_environment,
    environment,
    kept_network,
    restore,
)
from dagrow.runs.checkpoint.files import FILES, CheckpointError
from dagrow.runs.checkpoint.module_content import ModuleCheckpoint
from dagrow.runs.checkpoint.random_numbers import random_state, set_random_state
from dagrow.runs.checkpoint.steps import GrowthStepStore
from dagrow.runs.checkpoint.store import CheckpointStore

__all__ = [
    "FILES",
    "Checkpoint",
    "CheckpointError",
    "CheckpointStore",
    "GrowthStepStore",
    "ModuleCheckpoint",
    "capture",
    "changed_environment",
    "environment",
    "kept_network",
    "random_state",
    "restore",
    "set_random_state",
]
