"""The state of a run on disk: safetensors and JSON, each checkpoint whole or not there."""

from dagrow.training.checkpoint.content import (
    Checkpoint,
    capture,
    environment,
    kept_network,
    network_of,
    network_parts,
    restore,
    restored_network,
)
from dagrow.training.checkpoint.files import FILES, CheckpointError
from dagrow.training.checkpoint.steps import StepStore
from dagrow.training.checkpoint.store import CheckpointStore

__all__ = [
    "FILES",
    "Checkpoint",
    "CheckpointError",
    "CheckpointStore",
    "StepStore",
    "capture",
    "environment",
    "kept_network",
    "network_of",
    "network_parts",
    "restore",
    "restored_network",
]
