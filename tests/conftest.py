"""What holds for every test: one thread, and drawn cases that are the same in every run, however slow the machine."""

import os

import torch
from hypothesis import settings

# The suite runs in parallel, and small tensors gain nothing from more. Who asks for another number gets it.
if "OMP_NUM_THREADS" not in os.environ:
    torch.set_num_threads(1)

settings.register_profile("dagrow", deadline=None, derandomize=True)
settings.load_profile("dagrow")
