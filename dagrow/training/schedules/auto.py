"""After so many passes over the training set, or parts of a pass where the set is large.

While a network is small there is little for it to learn: on a large set, passes between growth steps would leave its
last features fewer of them than a network has that is trained from scratch (docs/explanation/generalisation.md).
"""

from __future__ import annotations

import sys
from dataclasses import replace

from dagrow.spec import RunSpec
from dagrow.training.schedules.epochs import epochs


def _at_most(run: RunSpec) -> int:
    # Units that come while training are counted by passes, which stay whole then.
    return sys.maxsize if run.growth.continuous_growth is not None else run.training.steps_between_growth


auto = replace(epochs, steps=_at_most, within_a_pass=True)
