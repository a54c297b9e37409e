"""Where a network is too narrow: its expressivity bottlenecks, and what more features would gain. Nothing grows."""

from dagrow.spot.result import Spot, Widening
from dagrow.spot.runs import spot_run
from dagrow.spot.spot import spot

__all__ = ["Spot", "Widening", "spot", "spot_run"]
