"""Several processes, one run: each has a part of the samples; sums over all of them make every decision the same."""

from dagrow.distributed.group import Group, ProcessError
from dagrow.distributed.launch import joined
from dagrow.distributed.processes import ALONE, Processes

__all__ = ["ALONE", "Group", "ProcessError", "Processes", "joined"]
