"""Images in their files: decoded when they are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dagrow.data.images.decoding import SUFFIXES, Form, decode
from dagrow.data.stored import SampleStore
from dagrow.errors import DataError
from dagrow.layout import Shape


@dataclass(frozen=True, eq=False)
class ImageFiles(SampleStore):
    """Images of one form.

    Attributes:
        paths: of the files.
        form: that all are brought to.
        most: bytes of decoded images up to which they are kept in memory.
    """

    paths: Sequence[Path]
    form: Form
    most: float = 0.0

    @property
    def shape(self) -> Shape:
        """``[images, ...]``."""
        return len(self.paths), *self.form.shape

    @property
    def dtype(self) -> torch.dtype:
        """Bytes, or float32 for 16 bits."""
        return torch.float32 if self.form.deep else torch.uint8

    @property
    def settles(self) -> bool:
        """Where they fit."""
        return prod(self.shape) * self.dtype.itemsize <= self.most

    def read(self, index: Tensor) -> Tensor:
        """Some images."""
        found = np.empty((len(index), *self.form.shape), dtype=self.form.dtype)
        for place, number in enumerate(index.tolist()):
            found[place] = decode(self.paths[number], self.form)
        return torch.from_numpy(found)


def images_in(folder: Path) -> tuple[list[Path], int]:
    """The images in a folder by their endings, in the order of their names, and how many other files there are.

    Raises:
        DataError: if it cannot be read.
    """
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except FileNotFoundError as error:
        raise DataError(f"{folder}: no such folder") from error
    except NotADirectoryError as error:
        raise DataError(f"{folder}: is a file; a folder of images is needed") from error
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror or error})") from error
    images = [path for path in files if path.suffix.lower() in SUFFIXES]
    return images, len(files) - len(images)
