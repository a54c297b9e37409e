"""Arrays in an ``.npz`` file, for a first run file."""

from __future__ import annotations

from math import prod
from pathlib import Path

import numpy as np

from dagrow.errors import DataError, listed
from dagrow.files import open_file
from dagrow.starter.found import DATA, Found, task_of

ARRAYS = ".npz"
"""The ending of archives of arrays."""
LEAST_PIXELS = 4
"""Of a side of a map."""


def read_arrays(path: Path, target: str | None) -> Found:
    """Arrays with the names that dagrow reads."""
    if target is not None:
        raise DataError("--target names a column of a table; arrays to learn are called y_train")
    try:
        with open_file(path) as file, np.load(file, allow_pickle=False) as stored:
            if not hasattr(stored, "files"):
                raise DataError("holds one array; an .npz file with x_train and y_train is needed (numpy.savez)")
            missing = [name for name in ("x_train", "y_train") if name not in stored.files]
            if missing:
                raise DataError(f"no array '{missing[0]}'; there are {listed(stored.files) or 'none'}")
            x, y = stored["x_train"], stored["y_train"]
            test = "x_test" in stored.files
    except FileNotFoundError as error:
        raise DataError("no such file") from error
    except DataError:
        raise
    except Exception as error:  # numpy and zipfile raise all kinds on damaged files
        raise DataError(f"not an .npz file that can be read ({error})") from error
    if not x.shape[1:] or len(x) == 0:
        raise DataError(f"'x_train' has shape {list(x.shape)}: samples with features are needed, samples first")
    if y.dtype.kind not in "biuf":
        raise DataError("'y_train' holds no numbers: number the classes from 0")
    shape, said = _sample_shape(x.shape[1:])
    outputs, classes, what = task_of(y) if y.ndim == 1 else (prod(y.shape[1:]), False, "numbers, by squared error")
    split = "with a test set" if test else "without a test set"
    told = (f"{len(x)} samples {split}, {said}; learned is 'y_train': {what}.",)
    return Found({"npz": DATA}, len(x), shape, outputs, classes, told, standardize=x.dtype != np.uint8)


def _sample_shape(shape: tuple[int, ...]) -> tuple[tuple[int, ...], str]:
    """How the graph reads a sample: maps as they are or with one channel, everything else as a vector."""
    match shape:
        case (height, width) if min(shape) >= LEAST_PIXELS:
            return (1, height, width), f"read as maps of {height} x {width} with one channel"
        case (channels, height, width) if min(height, width) >= LEAST_PIXELS:
            return shape, f"read as maps of {height} x {width} with {channels} channels"
        case _:
            return (prod(shape),), f"read as vectors of {prod(shape)} features"
