"""A run as one HTML page that needs nothing else: no network, no scripts, no files beside it."""

from dagrow.page.page import report

__all__ = ["report"]
