"""Settings of the reference tests: one thread, no time limit per example, the same examples on every run."""

import torch
from hypothesis import HealthCheck, settings

settings.register_profile(
    "reference", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("reference")
torch.set_num_threads(1)
