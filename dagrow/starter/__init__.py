"""A first run file from a data file."""

from dagrow.starter.run_file import write_first_run

__all__ = ["write_first_run"]
