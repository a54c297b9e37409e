"""Growing while training: the loop of a run, its growth steps, and the trials beside them."""

from dagrow.growth.grow import run_to_continue
from dagrow.growth.public import grow

__all__ = ["grow", "run_to_continue"]
