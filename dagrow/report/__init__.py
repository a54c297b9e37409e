"""Tables, progress and pictures."""

from dagrow.report.difference import GraphDiff
from dagrow.report.history import History, Step
from dagrow.report.pictures import picture_format, write_picture, write_scene
from dagrow.report.progress import PlainLines, ProgressBar, Reporter, Silent
from dagrow.report.table import number, table

__all__ = [
    "GraphDiff",
    "History",
    "PlainLines",
    "ProgressBar",
    "Reporter",
    "Silent",
    "Step",
    "number",
    "picture_format",
    "table",
    "write_picture",
    "write_scene",
]
