"""Folders of images, one for each class, for a first run file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path

from dagrow.data.images import ImageSize, class_folders, image_size
from dagrow.errors import DataError, listed
from dagrow.starter.found import DATA, Found

LOOKED_AT = 200
"""Images whose sizes are read, evenly over all."""
LARGEST_SIDE = 64
"""Pixels of a side up to which images keep their size: every layer is computed at every pixel."""
TRAIN = Path("train")
TESTS = tuple(map(Path, ("test", "val", "valid", "validation")))
"""Folders that hold the class folders, where samples to be judged by have their own."""


def read_image_folders(path: Path, target: str | None) -> Found:
    """A folder that holds a folder of images per class, or such folders for training and testing."""
    if target is not None:
        raise DataError("--target names a column of a table; the class of an image is the folder that it is in")
    test = next((name for name in TESTS if (path / TRAIN).is_dir() and (path / name).is_dir()), None)
    train = DATA if test is None else TRAIN
    found = class_folders(path / train)
    files = found.paths if test is None else [*found.paths, *class_folders(path / test, found.classes).paths]
    sizes = Counter(image_size(file) for file in files[:: -(-len(files) // LOOKED_AT)])
    shape = _shape(sizes)
    resize = any((size.height, size.width) != shape[1:] for size in sizes)
    split = "without a test set" if test is None else f"with a test set in '{test}'"
    count = len(found.classes)
    told = (
        f"{len(found.paths)} images {split}; learned is the folder that each is in: {count} classes, "
        f"{listed(found.classes[:6])}{', ...' if count > 6 else ''}.",
        _form(shape, sizes if resize else ()),
    )
    source = {"path": train, **({} if test is None else {"test": test}), **({"resize": True} if resize else {})}
    return Found({"images": source}, len(found.paths), shape, count, True, told, standardize=False)


def _shape(sizes: Counter[ImageSize]) -> tuple[int, int, int]:
    """As the graph reads an image: the most frequent size, of several the smallest, with a bound on the sides."""
    common = min(sizes, key=lambda size: (-sizes[size], size))
    shrink = max(1.0, max(common.height, common.width) / LARGEST_SIDE)
    height, width = (max(1, round(side / shrink)) for side in (common.height, common.width))
    return max(size.channels for size in sizes), height, width


def _form(shape: tuple[int, int, int], others: Collection[ImageSize]) -> str:
    channels, height, width = shape
    form = f"{height} x {width} pixels with {channels} channel{'s'[: channels > 1]}"
    if not others:
        return f"Images have {form}."
    seen = sorted({f"{size.height} x {size.width}" for size in others})
    return f"Images are brought to {form} (resize); there are {listed(seen[:4])}{', ...' if len(seen) > 4 else ''}."
