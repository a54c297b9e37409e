"""Tables, progress and pictures."""

from dagrow.report.difference import GraphDiff
from dagrow.report.history import GrowthStep, History
from dagrow.report.pictures import picture_format, write_picture, write_scene
from dagrow.report.progress import LiveReporter, PlainLines, ProgressBar, Reporter, Silent, show_metrics
from dagrow.report.space_difference import SpaceDiff, SpaceSizes
from dagrow.report.table import number, table

__all__ = [
    "GraphDiff",
    "GrowthStep",
    "History",
    "LiveReporter",
    "PlainLines",
    "ProgressBar",
    "Reporter",
    "Silent",
    "SpaceDiff",
    "SpaceSizes",
    "number",
    "picture_format",
    "show_metrics",
    "table",
    "write_picture",
    "write_scene",
]
