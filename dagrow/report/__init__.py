"""Tables, progress and pictures."""

from dagrow.report.difference import GraphDiff
from dagrow.report.history import GrowthStep, History
from dagrow.report.pictures import picture_format, write_picture, write_scene
from dagrow.report.progress import PlainLines, ProgressBar, Reporter, Silent
from dagrow.report.table import number, table

__all__ = [
    "GraphDiff",
    "GrowthStep",
    "History",
    "PlainLines",
    "ProgressBar",
    "Reporter",
    "Silent",
    "number",
    "picture_format",
    "table",
    "write_picture",
    "write_scene",
]
