"""After so many passes over the training set, or parts of a pass where the set is large.

While a network is small there is little for it to learn: on a large set, passes between growth steps would leave its
last features fewer of them than a network has that is trained from scratch (docs/generalisation.md).
"""

from __future__ import annotations

from dataclasses import replace

from dagrow.training.schedules.epochs import epochs

auto = replace(epochs, gradient_steps=lambda run: run.training.steps_between_growth, within_a_pass=True)
