"""Tables and pictures."""

from dagrow.report.table import number, table

__all__ = ["number", "table"]
