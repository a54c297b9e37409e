"""Growing while training: the loop of a run, its growth steps, and the trials beside them."""

from dagrow.growth.grow import grow, run_to_continue

__all__ = ["grow", "run_to_continue"]
