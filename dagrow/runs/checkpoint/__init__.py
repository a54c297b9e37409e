"""The state of a run on disk: safetensors and JSON, each checkpoint whole or not there."""

from dagrow.training.snapshot import network_of, network_parts, restored_network

from dagrow.runs.checkpoint.content import Checkpoint, capture, environment, kept_network, restore
from dagrow.runs.checkpoint.files import FILES, CheckpointError
from dagrow.runs.checkpoint.steps import GrowthStepStore
from dagrow.runs.checkpoint.store import CheckpointStore

__all__ = [
    "FILES",
    "Checkpoint",
    "CheckpointError",
    "CheckpointStore",
    "GrowthStepStore",
    "capture",
    "environment",
    "kept_network",
    "network_of",
    "network_parts",
    "restore",
    "restored_network",
]
