"""Tables, progress and pictures."""

from dagrow.report.progress import PlainLines, ProgressBar, Reporter, Silent
from dagrow.report.table import number, table

__all__ = ["PlainLines", "ProgressBar", "Reporter", "Silent", "number", "table"]
